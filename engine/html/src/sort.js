// Headings of sortable tables become buttons. Without this script they are headings.
'use strict';
for (const heading of document.querySelectorAll('table.sortable thead th')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener('click', () => sort(heading));
}

function sort(heading) {
  const body = heading.closest('table').tBodies[0];
  const column = heading.cellIndex;
  const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const rows = [...body.rows];
  const numeric = rows.every(row => value(row) === '' || !Number.isNaN(Number(value(row))));
  const first = numeric ? 'descending' : 'ascending';
  const other = numeric ? 'ascending' : 'descending';
  const order = heading.getAttribute('aria-sort') === first ? other : first;
  const compare = (a, b) => numeric
    ? Number(value(a) || -Infinity) - Number(value(b) || -Infinity)
    : value(a).localeCompare(value(b), undefined, { numeric: true });
  rows.sort((a, b) => (order === 'ascending' ? compare(a, b) : compare(b, a)));
  body.append(...rows);
  for (const each of heading.parentNode.cells) each.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', order);
}
