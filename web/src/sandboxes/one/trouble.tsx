/** What went wrong with a sandbox, and what to do. */
import { Alert, Button, Group, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { TriangleAlert } from "lucide-react";

import { sentence } from "../../api/failure";
import type { Sandbox } from "../../api/types";
import { start } from "../actions";

const WHAT: Record<string, [string, string]> = {
  "setup-failed": [
    "The setup script failed",
    "Nothing else was started. Read its output below, change the script in the repository or in its settings here, and start it again: setup runs at each start.",
  ],
  "git-failed": [
    "The repository was not cloned",
    "Check the URL and the branch. A private repository needs a sign-in of yours for its host: under Keys and secrets.",
  ],
  "sys-setup-failed": ["The sandbox could not be set up", "Its log says why. Start it again, or make another one."],
};

export function Trouble({ sandbox: it }: { sandbox: Sandbox }) {
  if (it.error_message == null) return null;
  const [title, advice] = WHAT[it.setup_status ?? ""] ?? [it.state === "stopped" ? "Its program ended" : "The sandbox failed", ""];
  return (
    <Alert variant="outline" color="red" role="alert" icon={<TriangleAlert size={18} color="var(--amika-bad)" />} title={title} styles={{ title: { color: "var(--amika-bad)" } }}>
      <Text size="sm" style={{ whiteSpace: "pre-wrap" }}>
        {sentence(it.error_message)}
      </Text>
      {advice !== "" && (
        <Text size="sm" mt={6}>
          {advice}
        </Text>
      )}
      <Group gap="xs" mt="xs">
        {(it.state === "failed" || it.state === "stopped") && it.provider_sandbox_id !== null && (
          <Button size="xs" variant="default" onClick={() => void start(it)}>
            Start again
          </Button>
        )}
        <Button size="xs" variant="default" component={Link} to={`/sandboxes/${it.id}/logs`}>
          Logs
        </Button>
        {it.setup_status === "git-failed" && (
          <Button size="xs" variant="default" component={Link} to="/account">
            Keys and secrets
          </Button>
        )}
      </Group>
    </Alert>
  );
}
