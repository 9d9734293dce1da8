/** What failed, in the server's words, and what to do. */
import { Alert, Button, Text } from "@mantine/core";
import { TriangleAlert } from "lucide-react";

import { failure, sentence } from "../api/failure";

export function Problem({ error, retry, title }: { error: unknown; retry?: () => void; title?: string }) {
  const failed = failure(error);
  const hints = failed.hints.length > 0 ? failed.hints : ownHints(failed.code, failed.status);
  return (
    <Alert
      variant="outline"
      color="red"
      role="alert"
      icon={<TriangleAlert size={18} color="var(--amika-bad)" />}
      title={title ?? sentence(failed.message)}
      styles={{ title: { color: "var(--amika-bad)" } }}
    >
      {title !== undefined && <Text size="sm">{sentence(failed.message)}</Text>}
      {hints.map((hint) => (
        <Text size="sm" key={hint}>
          {sentence(hint)}
        </Text>
      ))}
      {failed.traceId !== null && failed.status >= 500 && (
        <Text size="xs" c="dimmed" mt={4}>
          Trace id for whoever looks after the server: {failed.traceId}
        </Text>
      )}
      {retry && (
        <Button size="xs" variant="default" mt={8} onClick={retry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

function ownHints(code: string, status: number): string[] {
  if (code === "unreachable") return ["the page asks again by itself; what is on the screen may be old"];
  if (status === 403) return ["an administrator can do it, or give you the right to"];
  if (status === 429) return ["wait a moment and try again"];
  return [];
}
