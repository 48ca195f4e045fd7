// Puts what the server sends in the place of what is shown. Without this script the page loads itself again.
'use strict';
const source = new EventSource(location.pathname.replace(/\/live$/, '/events'));
source.addEventListener('part', event => {
  document.getElementById('live').innerHTML = event.data;
});
source.addEventListener('over', () => {
  source.close();
  location.assign(location.pathname.replace(/\/live$/, ''));
});
