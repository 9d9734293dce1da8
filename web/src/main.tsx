import "./mantine";
import "./styles.css";

import { MantineProvider } from "@mantine/core";
import { Notifications, notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";

import { client } from "./api/queries";
import { Failure, failure, sentence } from "./api/failure";
import { follow } from "./api/live";
import { useSession } from "./api/session";
import { router } from "./router";
import { signIn, SignInAgain, SignInPage, takeToken } from "./shell/sign-in";
import { theme, variables } from "./theme";

function App() {
  const session = useSession();
  useEffect(() => (session === "in" ? follow(client) : undefined), [session]);
  if (session === "none") return <SignInPage failedBefore={linkFailed} />;
  return (
    <>
      <RouterProvider router={router} />
      {session === "expired" && <SignInAgain />}
    </>
  );
}

let linkFailed: unknown;

/** A link signs in before anything is shown; whoever is signed in already follows it too. */
async function followLink() {
  const token = takeToken();
  if (token === null) return;
  try {
    await signIn({ token });
  } catch (error) {
    linkFailed = error;
    notifications.show({ message: sentence(failure(error).message), color: "red", autoClose: 10_000, withBorder: true });
  }
}

const root = document.getElementById("root");
if (root) {
  await followLink();
  window.addEventListener("hashchange", () => void followLink());
  // What the server's answer was, or that none came, stands on the page; the console has the page's own faults.
  const onCaughtError = (error: unknown) => {
    if (!(error instanceof Failure)) reportError(error);
  };
  createRoot(root, { onCaughtError }).render(
    <StrictMode>
      <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto">
        <QueryClientProvider client={client}>
          <Notifications position="bottom-right" />
          <App />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
