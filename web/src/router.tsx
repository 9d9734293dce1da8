/** Which address is which page. What is not needed at first is loaded when it is opened. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Link,
  useRouter,
  type ErrorComponentProps,
} from "@tanstack/react-router";

import { Failure } from "./api/failure";
import { Layout } from "./shell/layout";
import { SandboxList } from "./sandboxes/list";
import { Page, useTitle } from "./ui/basics";
import { Problem } from "./ui/problem";

function NotFound(): React.ReactNode {
  useTitle("Not found");
  return (
    <Page title="There is no such page">
      <p>
        The address leads nowhere: what it named may be gone. <Link to="/">All sandboxes</Link>
      </p>
    </Page>
  );
}

function Broken({ error }: ErrorComponentProps) {
  useTitle("Error");
  const router = useRouter();
  return (
    <Page title="This page does not work">
      <Problem error={error} retry={() => void router.invalidate()} />
    </Page>
  );
}

/**
 * A page that is loaded when it is opened. Where it is not there any more the router loads all anew, since a newer server has
 * other files; where no server answers that would throw away what is on the screen.
 */
function lazy<T extends Record<string, unknown>, K extends keyof T>(load: () => Promise<T>, name: K) {
  return lazyRouteComponent<T, K>(async () => {
    try {
      return await load();
    } catch (error) {
      await fetch("/healthz").catch(() => {
        throw Failure.unreachable();
      });
      throw error;
    }
  }, name);
}

const root = createRootRoute({ component: Layout, notFoundComponent: NotFound });
const page = createRoute({ getParentRoute: () => root, path: "/sandboxes/$ref", component: lazy(() => import("./sandboxes/one/page"), "SandboxPage") });
const admin = createRoute({ getParentRoute: () => root, path: "/admin", component: lazy(() => import("./admin/page"), "AdminPage") });

const tree = root.addChildren([
  createRoute({ getParentRoute: () => root, path: "/", component: SandboxList }),
  createRoute({
    getParentRoute: () => root,
    path: "/new",
    validateSearch: (search): { repo?: string } => (typeof search.repo === "string" ? { repo: search.repo } : {}),
    component: lazy(() => import("./sandboxes/create/page"), "CreatePage"),
  }),
  page.addChildren([
    createRoute({ getParentRoute: () => page, path: "/", component: lazy(() => import("./sandboxes/one/overview"), "Overview") }),
    createRoute({ getParentRoute: () => page, path: "/terminal", component: lazy(() => import("./sandboxes/one/terminals"), "Terminals") }),
    createRoute({ getParentRoute: () => page, path: "/logs", component: lazy(() => import("./sandboxes/one/logs"), "Logs") }),
    createRoute({ getParentRoute: () => page, path: "/agent", component: lazy(() => import("./sandboxes/one/agent"), "Agent") }),
    createRoute({ getParentRoute: () => page, path: "/changes", component: lazy(() => import("./sandboxes/one/changes"), "Changes") }),
    createRoute({ getParentRoute: () => page, path: "/usage", component: lazy(() => import("./sandboxes/one/usage"), "Usage") }),
  ]),
  createRoute({ getParentRoute: () => root, path: "/repositories", component: lazy(() => import("./repositories/list"), "RepositoryList") }),
  createRoute({ getParentRoute: () => root, path: "/repositories/$id", component: lazy(() => import("./repositories/page"), "RepositoryPage") }),
  createRoute({ getParentRoute: () => root, path: "/account", component: lazy(() => import("./account/page"), "AccountPage") }),
  admin.addChildren([
    createRoute({ getParentRoute: () => admin, path: "/", component: lazy(() => import("./admin/users"), "Users") }),
    createRoute({ getParentRoute: () => admin, path: "/audit", component: lazy(() => import("./admin/audit"), "Audit") }),
    createRoute({ getParentRoute: () => admin, path: "/system", component: lazy(() => import("./admin/system"), "System") }),
    createRoute({ getParentRoute: () => admin, path: "/volumes", component: lazy(() => import("./admin/volumes"), "Volumes") }),
  ]),
]);

export const router = createRouter({ routeTree: tree, defaultErrorComponent: Broken, defaultPreload: "intent", scrollRestoration: true });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
