// Stands within the document, since what it is for is that something else did not come. A browser drops what it is loading when
// the network of its machine changes, and each container that starts changes the network of the machine that it starts on.
(() => {
  const TRIED = "amika.loading";
  const PAUSES = [250, 500, 1000, 2000, 4000];
  const tried = Number(sessionStorage.getItem(TRIED));
  const styles = new Map();
  let waits = false;
  const root = () => document.getElementById("root");
  // What is there is never thrown away: whoever loads a part of it later says so in its place.
  const isThere = () => root()?.hasChildNodes();

  const sayThatItFailed = () => {
    const button = Object.assign(document.createElement("button"), { textContent: "Try again", onclick: () => location.reload() });
    root().append("The page could not be loaded: a part of it did not come. ", button);
  };

  /** Styles are asked for again where they stand. */
  const again = (link) => {
    const times = styles.get(link.href) ?? 0;
    styles.set(link.href, times + 1);
    if (times < PAUSES.length) setTimeout(() => link.replaceWith(link.cloneNode()), PAUSES[times]);
  };

  addEventListener(
    "error",
    ({ target }) => {
      if (target instanceof HTMLLinkElement && target.rel === "stylesheet") return again(target);
      // A part that is loaded ahead is asked for by the script that wants it, which fails where it does not come.
      if (!(target instanceof HTMLScriptElement) || waits || isThere()) return;
      waits = true;
      if (tried === PAUSES.length) {
        sessionStorage.removeItem(TRIED);
        if (root()) sayThatItFailed();
        else addEventListener("DOMContentLoaded", sayThatItFailed);
        return;
      }
      sessionStorage.setItem(TRIED, String(tried + 1));
      setTimeout(() => isThere() || location.reload(), PAUSES[tried]);
    },
    true,
  );
  addEventListener("load", () => waits || sessionStorage.removeItem(TRIED));
})();
