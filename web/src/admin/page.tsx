import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";

import { me } from "../api/queries";
import { Empty, Page, useTitle } from "../ui/basics";

const TABS = [
  ["Users", "/admin"],
  ["Audit", "/admin/audit"],
  ["Engine and disk", "/admin/system"],
  ["Volumes", "/admin/volumes"],
] as const;

export function AdminPage(): React.ReactNode {
  useTitle("Administration");
  const who = useQuery(me);
  if (who.data !== undefined && who.data.role !== "admin") {
    return (
      <Page title="Administration">
        <div className="card">
          <Empty title="For administrators">
            You are a member: <Link to="/">your sandboxes</Link> are all yours to change. An administrator can make you one.
          </Empty>
        </div>
      </Page>
    );
  }
  return (
    <Page title="Administration">
      <nav className="tabs" aria-label="Parts of the administration">
        {TABS.map(([label, to]) => (
          <Link key={to} to={to} activeOptions={{ exact: true }}>
            {label}
          </Link>
        ))}
      </nav>
      <Outlet />
    </Page>
  );
}
