/** Said once, at the edge of the screen. */
import { notifications } from "@mantine/notifications";

import { failure, sentence } from "../api/failure";

export function done(message: string) {
  notifications.show({ message, color: "green", autoClose: 4000, withBorder: true });
}

export function failed(what: string, error: unknown) {
  const it = failure(error);
  // Whoever is signed out is asked to sign in; that says it.
  if (it.status === 401) return;
  const hint = it.hints[0];
  const message = sentence(it.message) + (hint === undefined ? "" : ` – ${hint}`);
  notifications.show({ title: what, message, color: "red", autoClose: 10_000, withBorder: true });
}
