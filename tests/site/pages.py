"""How the site's tests look at a page: what goes wrong on it, at a width, in the dark, and as axe judges it."""

import pytest

WIDE, PHONE = 1200, 390  # pixels


def open_page(browser, address):
    """A page that has just begun to load, and the list of all that goes wrong or leaves the site."""
    page, wrong = browser.new_page(), []
    home = "/".join(address.split("/")[:3])
    page.on(
        "request", lambda request: request.url.startswith((home, "data:")) or wrong.append(f"leaves: {request.url}")
    )
    page.on("response", lambda response: response.status < 400 or wrong.append(f"{response.status}: {response.url}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on("console", lambda message: message.type != "error" or wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.goto(address, wait_until="commit")
    return page, wrong


def resize(page, width=WIDE, scheme="light"):
    """Set width and colours, end what moves, and wait until the page says that all has its size at this width."""
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        """([width, scheme]) => {
            document.getAnimations().forEach(moving => moving.finish());
            return document.documentElement?.dataset.settled == width && !document.getAnimations().length
                && matchMedia(`(prefers-color-scheme: ${scheme})`).matches;
        }""",
        arg=[width, scheme],
    )


def press_until(page, key, box, condition):
    """Press a key on a box, ten times a second, until a condition on it holds; a busy browser may lose a key press."""
    for _ in range(600):
        box.press(key)  # brings it on screen and focuses it first
        page.wait_for_timeout(100)
        if box.evaluate(condition):
            return
    pytest.fail(f"after 600 times {key} it does not hold that {condition}")


def serious_findings(page, where=None, **options):
    """What axe finds, of serious or critical impact: rule -> first place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pages are judged with axe")
    results = axe.Axe().run(page, where, options={"resultTypes": ["violations"], **options}).response
    return {v["id"]: v["nodes"][0]["html"] for v in results["violations"] if v["impact"] in ("serious", "critical")}


def one_of_each_look(page):
    """Where axe may judge colours: the first of all texts that have the same colours, font and backgrounds."""
    page.evaluate("""() => {
        const looks = new Set(), style = getComputedStyle;
        const ground = box => box ? style(box).background + style(box).opacity + ground(box.parentElement) : "";
        for (const box of document.querySelectorAll("body *")) {
            const writes = [...box.childNodes].some(node => node.nodeType == Node.TEXT_NODE && node.data.trim());
            if (!box.checkVisibility() || !(writes || box.matches("input"))) continue;
            const {color, font, textDecoration} = style(box);
            const look = [color, font, textDecoration, style(box.parentElement).color, ground(box)].join();
            box.toggleAttribute("data-look", !looks.has(look));
            looks.add(look);
        }
    }""")
    return {"include": [["[data-look]"]]}
