/** Which controls pages have, and which of them were used: both are seen in the page itself, by role and name. */

/** Names that tests give to things: in a control's name they are one. */
const GIVEN = /\b(?:fix|mended|by-keys|broken|other|first key|hostile|list-[ab]|shop|runs|inner|db|docs|laptop|the user|TOKEN|GREETING|work|forge\.example|grace|admin|sale|main|A)\b/g;

/** What closes a dialog, or asks once more, is made in one place for all of them. */
const COMMON = /^button "(?:Close|Cancel|Try again)"$/;

export class Controls {
  constructor() {
    this.seen = new Map();
    this.used = new Set();
  }

  /** Watches all pages of a context that are the server's. */
  async watch(context, address) {
    await context.exposeBinding("amikaControl", (_, kind, place, role, name, path) => this.take(kind, place, role, name, path));
    await context.addInitScript(inPage, address);
  }

  take(kind, place, role, name, path) {
    const plain = (text) => text.replace(/\bamika-[a-z]\S+/g, "…").replace(/^(Value|Secret|Log|End) of .*/, "$1 of …").replace(GIVEN, "…").replace(/\d+/g, "#").replace(/^(?:# of )?# sandbox(?:es)?$/, "# sandboxes");
    const control = `${role} "${plain(name)}"`;
    const key = COMMON.test(control) ? control : `${plain(place)}: ${control}`;
    if (kind === "used") this.used.add(key);
    else if (!this.seen.has(key)) this.seen.set(key, path);
  }

  /** Those that no test used, each with the page where it was seen first. */
  unused() {
    return [...this.seen].filter(([key]) => !this.used.has(key)).map(([key, path]) => `${key}, seen at ${path}`).sort();
  }
}

/** Runs in each page, before its own scripts. `/docs` is another page, made of the API's document. The values of a list are no controls: the list is. */
function inPage(address) {
  if (location.origin !== address || location.pathname === "/docs" || window !== top) return;
  const CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=menuitem], [role=menuitemradio], [role=tab], [role=switch]";
  const PLACES = "[role=dialog], [role=menu], section[aria-label], [role=region], nav, .mantine-AppShell-header, .mantine-Notifications-root";
  const text = (element) => (element?.textContent ?? "").replace(/\s+/g, " ").trim();
  const labelled = (element) =>
    element.getAttribute("aria-label") ??
    (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).map((id) => { const it = document.getElementById(id); return it?.getAttribute("aria-label") ?? text(it); }).join(" ").trim();
  const name = (element) => {
    // A link to one of many is named after what it leads to.
    const to = element.matches("a") && /^\/(sandboxes|repositories)\/[^/]+$/.exec(element.getAttribute("href"));
    if (to) return `one of ${to[1]}`;
    if (element.matches(".changed > button")) return "one of the files";
    return (labelled(element) || [...(element.labels ?? [])].map(text).join(" ").replace(/\s*\*$/, "") || (element.matches("input, select, textarea") ? element.getAttribute("placeholder") ?? "" : text(element)));
  };
  const role = (element) => {
    const own = element.getAttribute("role");
    if (own !== null) return own;
    if (element.matches("input")) return { checkbox: "checkbox", radio: "radio", file: "file" }[element.type] ?? "textbox";
    return { A: "link", BUTTON: "button", SELECT: "combobox", TEXTAREA: "textbox", SUMMARY: "summary" }[element.tagName];
  };
  const place = (element) => {
    const found = element.closest(PLACES);
    if (found === null) {
      const page = element.closest(".page");
      return page === null ? "each page" : `page "${text(page.querySelector("h1"))}"`;
    }
    if (found.matches(".mantine-AppShell-header")) return "header";
    if (found.matches(".mantine-Notifications-root")) return "notice";
    if (found.matches(".changed")) return "a changed file";
    const kind = found.getAttribute("role") ?? { NAV: "navigation" }[found.tagName] ?? "region";
    return `${kind} "${labelled(found)}"`;
  };
  const tell = (kind, element) => window.amikaControl?.(kind, place(element), role(element), name(element), location.pathname);
  const known = new WeakMap();
  const scan = () => {
    for (const element of document.querySelectorAll(CONTROLS)) {
      if (element.disabled || element.matches(":disabled, [aria-disabled=true], [aria-hidden=true] *, [inert] *") || !element.checkVisibility({ visibilityProperty: true })) continue;
      // A dialog has its name a moment after what is in it.
      if (place(element).endsWith(' ""')) continue;
      const is = `${place(element)}|${name(element)}|${location.pathname}`;
      if (known.get(element) === is) continue;
      known.set(element, is);
      tell("seen", element);
    }
  };
  let waits = false;
  const soon = () => {
    if (waits) return;
    waits = true;
    setTimeout(() => { waits = false; scan(); }, 100);
  };
  new MutationObserver(soon).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["disabled", "aria-disabled", "aria-label", "aria-hidden", "style", "class"] });
  const use = (event) => {
    const element = event.target instanceof Element ? event.target.closest(CONTROLS) : null;
    if (element) tell("used", element);
  };
  for (const kind of ["mousedown", "click", "input", "change"]) document.addEventListener(kind, use, true);
  // A terminal takes keys without a change of its field.
  document.addEventListener("keydown", (event) => { if (event.key.length === 1 && event.target instanceof HTMLTextAreaElement) use(event); }, true);
}
