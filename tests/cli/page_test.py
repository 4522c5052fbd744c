"""page_test PROGRAM DATA: the page of a plan in a real browser, over its debugging pipe: nothing is fetched and nothing refused by its own
policy, no part is wider than a phone, text stands out from what is behind it in light and dark, whoever hears the page is told what
others see, it says all without its script and does more with it, and it prints. Ends with 77 where there is no Chromium."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, DATA = sys.argv[1], Path(sys.argv[2])
SECONDS = 60


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, program, folder):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def as_three_and_four():
            ours = os.dup(to_browser), os.dup(from_browser)
            for wanted, have in zip((3, 4), ours):
                os.dup2(have, wanted)

        command = [program, "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # there is none for root
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         preexec_fn=as_three_and_four, close_fds=False)
        os.close(to_browser)
        os.close(from_browser)
        self._rest, self._number, self._session, self.events = b"", 0, None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(domain + ".enable")

    def send(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser went away")
            self._rest += part
        one, self._rest = self._rest.split(b"\0", 1)
        return json.loads(one)

    def open(self, path):
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def ask(self, script):
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def look(self, width, scheme, media="screen"):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        self.send("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def close(self):
        self._process.terminate()
        self._process.wait(SECONDS)


# Every text whose colour is too near to what is behind it, and every drawn part that is too near to the page.
CONTRAST = r"""(() => {
  const channels = text => (text.match(/[\d.]+/g) || []).map(Number);
  const luminance = text => channels(text).slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = node => { for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor; if (channels(colour)[3] !== 0) return colour; } return "rgb(255, 255, 255)"; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const owner = node.parentElement;
    if (!node.textContent.trim() || owner.closest("script, title") || !owner.getClientRects().length) continue;
    const style = getComputedStyle(owner), drawn = owner.closest("svg") ? style.fill : style.color;
    if (ratio(drawn, behind(owner)) < 4.5) found.push(node.textContent.slice(0, 40) + " " + drawn + " on " + behind(owner));
  }
  const page = getComputedStyle(document.body).backgroundColor;
  for (const part of document.querySelectorAll("rect, circle")) {
    if (part.matches(".unused, .outside")) continue;
    if (ratio(getComputedStyle(part).fill, page) < 3) found.push(part.getAttribute("class") + " on the page");
  }
  return found;
})()"""

WIDER = r"""[...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg") &&
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map(e => e.tagName + "." + e.className)"""


def plan(arguments, form, folder):
    out = Path(folder) / f"plan.{form}"
    done = subprocess.run([PROGRAM, "plan", *arguments, "--format", form, "-o", str(out)], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode in (0, 1), done.stderr
    return out


def check_page(browser, path, document):
    for scheme in ("light", "dark"):
        for width in (360, 1200):
            browser.look(width, scheme)
            browser.open(path)
            browser.ask("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert browser.ask("document.documentElement.scrollWidth") <= width, f"wider than {width}"
            assert browser.ask(WIDER) == [], browser.ask(WIDER)
            assert browser.ask(CONTRAST) == [], (scheme, browser.ask(CONTRAST))
            said = [event for event in browser.events if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]
            assert not said, said
            asked = [event["params"]["request"]["url"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
            assert asked == [path.as_uri()], asked

    check_tree(browser.send("Accessibility.getFullAXTree")["nodes"])

    totals = {key: value for key, value in document["totals"].items() if value and not document.get("host_memory")}
    shown = browser.ask("""Object.fromEntries([...document.querySelectorAll("tr[data-figure]")].map(row => [row.dataset.figure,
      [...row.querySelectorAll("td")].map(cell => cell.dataset.bytes)]))""")
    for key, value in totals.items():
        of_devices = [str(device[key]) for device in document["devices"]]
        assert set(of_devices) == set(shown[key]), (key, value, shown[key])

    check_script(browser, path)


def check_tree(nodes):
    """What a screen reader is told: one first heading, sections by name, every picture, region, field and button named."""
    def role(node):
        return node.get("role", {}).get("value")

    def name(node):
        return node.get("name", {}).get("value", "").strip()

    heard = [node for node in nodes if not node.get("ignored")]
    for wanted in ("image", "region", "button", "searchbox", "heading", "DisclosureTriangle"):
        some = [node for node in heard if role(node) == wanted]
        assert some, f"no {wanted}"
        assert all(name(node) for node in some), f"a {wanted} without a name"
    levels = [next(p["value"]["value"] for p in node["properties"] if p["name"] == "level") for node in heard if role(node) == "heading"]
    assert levels[0] == 1 and levels.count(1) == 1 and set(levels) == {1, 2}, levels
    bars = [name(node) for node in heard if role(node) == "image" and re.search(r"weights \d", name(node))]
    assert bars, "no bar says its parts"


def check_script(browser, path):
    commands = browser.ask("document.querySelectorAll('pre.command').length")
    assert commands >= 1
    assert browser.ask("[...document.querySelectorAll('pre.command + button')].filter(b => b.textContent == 'Copy').length") == commands
    rows = browser.ask("document.querySelectorAll('table.items tbody tr').length")
    browser.ask("""(() => { const field = document.querySelector("input[type=search]"); field.value = "EMBED"; field.dispatchEvent(new Event("input")); })()""")
    left = browser.ask("document.querySelectorAll('table.items tbody tr:not([hidden])').length")
    assert 0 < left < rows, (left, rows)
    browser.ask("""document.querySelector("table.items thead th:nth-child(3) button").click()""")
    sizes = browser.ask("""[...document.querySelector("table.items").tBodies[0].rows].map(row => row.cells[2].dataset.bytes)""")
    assert [int(size) for size in sizes] == sorted((int(size) for size in sizes), reverse=True), sizes
    assert browser.ask("""document.querySelector("table.items th[aria-sort]").getAttribute("aria-sort")""") == "descending"

    # Paper: light whatever the screen was, nothing to press, every heading of a column, every part open.
    browser.look(1200, "dark", media="print")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("[...document.querySelectorAll('pre + button, label')].every(part => getComputedStyle(part).display == 'none')")
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask("[...document.querySelectorAll('details')].every(part => part.open)")
    assert browser.ask("[...document.querySelectorAll('thead th')].every(head => head.innerText.trim().length)")
    pdf = browser.send("Page.printToPDF")["data"]
    assert len(pdf) > 10000, len(pdf)

    # The same page where scripts are off.
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.look(360, "light")
    browser.open(path)
    assert browser.ask("document.querySelectorAll('button, input').length") == 0
    assert browser.ask("document.querySelectorAll('table.items tbody tr').length") == rows
    assert browser.ask("document.querySelector('h1').getClientRects().length") == 1
    browser.send("Emulation.setScriptExecutionDisabled", value=False)


def main():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None)
    if program is None:
        print("skipped: there is no Chromium here; apt-get install chromium, and this test shows the page in it")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(program, folder + "/profile")
        try:
            hostile = Path(folder) / "\"><img src=x onerror=alert(1)> <b>&amp;"
            hostile.mkdir()
            shutil.copy(DATA / "cli/llama/config.json", hostile)
            for arguments in (["google/gemma-3-27b-it", "--devices", "2xH100", "--engine", "vllm", "--frontier-kv-dtypes", "fp8"],
                              ["meta-llama/Llama-3.1-70B", "--devices", "2xH100,2xA100-40GB", "--engine", "vllm", "--max-length", "8192"],
                              [str(hostile), "--devices", "<i>card</i>=80GiB"]):
                document = json.loads(plan(arguments, "json", folder).read_text())
                check_page(browser, plan(arguments, "html", folder), document)
            assert browser.ask("document.querySelector('h1').textContent") == str(hostile)
            assert browser.ask("document.querySelectorAll('img, b, i').length") == 0
        finally:
            browser.close()
    return 0


sys.exit(main())
