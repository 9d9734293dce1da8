import { Page, useTitle } from "../ui/basics";
import { Credentials } from "./credentials";
import { GitHosts } from "./git-hosts";
import { GitUser } from "./git-user";
import { Keys } from "./keys";
import { Secrets } from "./secrets";

export function AccountPage(): React.ReactNode {
  useTitle("Keys and secrets");
  return (
    <Page title="Keys and secrets">
      <div className="stack">
        <Credentials />
        <Secrets />
        <GitHosts />
        <GitUser />
        <Keys />
      </div>
    </Page>
  );
}
