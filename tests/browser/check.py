#!/usr/bin/env python3
"""Reports and served pages in a real browser: `tests/browser/check.py target/release/ablate STORE [PICTURES]`.

STORE holds at least one run with a table. With a folder PICTURES, screenshots are left there.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from chromium import Chromium, find

PHONE = 390
problems = []


def expect(condition, what):
    """Notes a promise that is not kept."""
    if not condition:
        problems.append(what)
        print(f"FAIL {what}")


def luminance(colour):
    """How light a CSS colour is, from 0 to 1."""
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def column(browser, table, at):
    """The values of a column of a table, from top to bottom."""
    rows = f"[...document.querySelector('{table}').tBodies[0].rows]"
    return browser.value(f"{rows}.map(row => row.cells[{at}].dataset.value ?? row.cells[{at}].textContent)")


def quiet(browser, name, allowed):
    """No page complains, and none asks for anything but itself."""
    expect(not browser.complaints, f"{name} complains: {browser.complaints}")
    strange = [url for url in browser.requests if not url.startswith(allowed)]
    expect(not strange, f"{name} asks the network for {strange}")


def fits(browser, name):
    """No page is wider than a phone; wide tables scroll by themselves."""
    wide = browser.value("document.documentElement.scrollWidth")
    expect(wide <= PHONE, f"{name} is {wide} pixels wide on a phone of {PHONE}")


def sorting(browser, table, name):
    """Headings sort down, then up, and say so."""
    heads = browser.value(f"[...document.querySelectorAll('{table} thead th')].map(th => th.textContent)")
    at = next(at for at, head in enumerate(heads) if "@" in head)
    click = f"document.querySelectorAll('{table} thead th')[{at}].querySelector('button').click()"
    for order, reverse in (("descending", True), ("ascending", False)):
        browser.value(click)
        values = [float(value) for value in column(browser, table, at) if value]
        expect(values == sorted(values, reverse=reverse), f"{name}: {order} is {values}")
        said = browser.value(f"document.querySelectorAll('{table} thead th')[{at}].ariaSort")
        expect(said == order, f"{name} says it is sorted {said}")


def report(browser, url, pictures):
    """The file: light, dark, on a phone, without scripts, on paper."""
    browser.open(url)
    quiet(browser, "the report", (url, "data:"))
    expect(browser.value("document.querySelectorAll('svg.plot').length") >= 3, "the report has plots")
    expect(browser.value("document.querySelectorAll('h1').length") == 1, "the report has one h1")
    unnamed = "[...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope]')).length"
    expect(browser.value(unnamed) == 0, "every table has a caption and scopes")
    light = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    picture(browser, pictures, "light")
    sorting(browser, "table.results", "the table of results")

    browser.open(url, dark=True)
    paper = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    ink = browser.value("getComputedStyle(document.body).color")
    expect(luminance(paper) < 0.15 < 0.6 < luminance(ink), f"dark is {ink} on {paper}")
    expect(luminance(light) > 0.85, f"light is {light}")
    picture(browser, pictures, "dark")

    browser.open(url, width=PHONE)
    fits(browser, "the report")
    picture(browser, pictures, "phone")

    browser.open(url, scripts=False)
    expect(len(column(browser, "table.results", 0)) > 0, "the table is there without scripts")
    expect(browser.value("document.querySelectorAll('thead button').length") == 0, "no button without a script behind it")
    quiet(browser, "the report without scripts", (url, "data:"))

    pages = browser.pdf(pictures and pictures / "print.pdf")
    expect(pages.startswith(b"%PDF") and len(pages) > 20_000, "the report prints")


def served(browser, base, pictures):
    """The server: every page a link leads to, for a few steps."""
    seen, waiting = set(), [base]
    while waiting and len(seen) < 25:
        url = waiting.pop(0)
        if url in seen:
            continue
        seen.add(url)
        browser.open(url, width=PHONE)
        quiet(browser, url, (base, "data:"))
        fits(browser, url)
        links = browser.value("[...document.links].filter(a => !a.download && !a.hash).map(a => a.href)")
        expect(all(link.startswith(base) for link in links), f"{url} leads elsewhere: {links}")
        # Rows are few links away, and there are many nodes: rows first.
        waiting = [link for link in links if "/rows?" in link] + waiting + links
    expect(len(seen) > 5, f"few pages: {seen}")
    browser.open(base)
    picture(browser, pictures, "runs")
    rows = next((url for url in seen if "/rows?" in url), None)
    expect(rows, "a page of rows is linked")
    if rows:
        browser.open(rows)
        picture(browser, pictures, "rows", whole=False)


def live(browser, base, store, pictures):
    """A run under way: what is logged appears without a reload, and its end leads to the page of the run."""
    runs = [path.parent for path in pathlib.Path(store).glob("runs/*/run.json")]
    run = max(runs, key=lambda run: (run / "events.jsonl").stat().st_size)
    folder = run.parent / "20990101-000000-0000"
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    folder.mkdir()
    try:
        (folder / "events.jsonl").write_text("".join(lines[:2]))
        browser.open(f"{base}run/{folder.name}/live")
        before = browser.value("document.querySelectorAll('#live tbody tr').length")
        (folder / "events.jsonl").write_text("".join(lines))
        browser.settle(2.5)
        after = browser.value("document.querySelectorAll('#live tbody tr').length")
        expect(after > before, f"the live page went from {before} to {after} nodes")
        picture(browser, pictures, "live", whole=False)
        quiet(browser, "the live page", (base, "data:"))
        (folder / "run.json").write_bytes((run / "run.json").read_bytes())
        browser.settle(2.5)
        address = browser.value("location.pathname")
        expect(address == f"/run/{folder.name}", f"after the end the browser is at {address}")
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def refused(base):
    """What a page elsewhere might make a browser send."""
    request = urllib.request.Request(base, headers={"Host": "evil.example"})
    try:
        status = urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        status = error.code
    expect(status == 421, f"a foreign Host was answered with {status}")


def picture(browser, folder, name, whole=True):
    """Leaves a screenshot, if there is a folder for it."""
    if folder:
        browser.screenshot(folder / f"{name}.png", whole)


def main(ablate, store, pictures=None):
    """Everything; the exit code says whether it holds."""
    program = find()
    if not program:
        sys.exit("no chromium: install it (Debian: apt-get install chromium), or set CHROMIUM")
    pictures = pictures and pathlib.Path(pictures)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "a report.html"
        subprocess.run([ablate, "report", "latest", "-o", file, "--store", store], check=True)
        browser = Chromium(program)
        server = subprocess.Popen([ablate, "serve", "--port", "0", "--json", "--store", store], stdout=subprocess.PIPE)
        try:
            base = json.loads(server.stdout.readline())["address"]
            report(browser, "file://" + urllib.parse.quote(str(file)), pictures)
            served(browser, base, pictures)
            live(browser, base, store, pictures)
            refused(base)
        finally:
            browser.close()
            server.terminate()
            server.wait()
    print(f"{'FAILED' if problems else 'fine'}: pages in {program}, {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
