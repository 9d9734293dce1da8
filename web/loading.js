// Stands within the document, since what it is for is that nothing else came. A browser drops what it is loading when the
// network of its machine changes, and each container that starts changes the network of the machine that it starts on.
(() => {
  const TRIED = "amika.loading";
  const PAUSES = [250, 500, 1000, 2000, 4000];
  let again = false;
  const root = () => document.getElementById("root");
  const tried = Number(sessionStorage.getItem(TRIED));

  addEventListener(
    "error",
    (event) => {
      const part = event.target instanceof HTMLScriptElement || event.target instanceof HTMLLinkElement;
      // What is there is never thrown away: whoever loads a part of it later says so in its place.
      if (again || !part || event.target.rel === "icon" || root()?.hasChildNodes()) return;
      again = true;
      if (tried < PAUSES.length) {
        sessionStorage.setItem(TRIED, String(tried + 1));
        setTimeout(() => location.reload(), PAUSES[tried]);
        return;
      }
      sessionStorage.removeItem(TRIED);
      const say = () => {
        const again = Object.assign(document.createElement("button"), { textContent: "Try again", onclick: () => location.reload() });
        root().append("The page could not be loaded: a part of it did not come. ", again);
      };
      if (root()) say();
      else addEventListener("DOMContentLoaded", say);
    },
    true,
  );
  addEventListener("load", () => again || sessionStorage.removeItem(TRIED));
})();
