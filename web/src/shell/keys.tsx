/** The keys of the page. Single letters are for whoever does not type into something. */
import { Modal } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { Fragment, useEffect, useRef } from "react";

export const KEYS: [string, string][] = [
  ["Ctrl K", "Commands: go anywhere, do anything"],
  ["?", "These keys"],
  ["c", "Make a sandbox"],
  ["/", "Search the list"],
  ["j  k", "Next and previous row of the list"],
  ["x", "Select the row"],
  ["Enter", "Open the row"],
  ["g s", "Sandboxes"],
  ["g r", "Repositories"],
  ["g a", "Keys and secrets"],
  ["g d", "Administration"],
  ["1 – 6", "Tabs of a sandbox"],
  ["Ctrl Shift Escape", "Leave a terminal"],
];

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.closest("input, textarea, select, [role=dialog], [role=menu], .xterm") !== null)
  );
}

const PLACES: Record<string, string> = { s: "/", r: "/repositories", a: "/account", d: "/admin" };

export function useKeys({ palette, help }: { palette: () => void; help: () => void }) {
  const navigate = useNavigate();
  const afterG = useRef(0);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
        if ((event.target as HTMLElement).closest(".xterm")) return;
        event.preventDefault();
        palette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const place = PLACES[event.key];
      if (Date.now() - afterG.current < 1500 && place !== undefined) {
        afterG.current = 0;
        event.preventDefault();
        void navigate({ to: place });
        return;
      }
      afterG.current = event.key === "g" ? Date.now() : 0;
      if (event.key === "?") help();
      else if (event.key === "c") void navigate({ to: "/new" });
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [navigate, palette, help]);
}

export function KeysHelp({ onClose }: { onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Keys">
      <dl className="facts">
        {KEYS.map(([keys, what]) => (
          <Fragment key={keys}>
            <dt>
              {keys.split(" ").map((key, index) => (
                <Fragment key={index}>{key === "" || key === "–" ? ` ${key} ` : <kbd>{key}</kbd>} </Fragment>
              ))}
            </dt>
            <dd>{what}</dd>
          </Fragment>
        ))}
      </dl>
    </Modal>
  );
}
