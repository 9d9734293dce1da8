import { SegmentedControl, Text } from "@mantine/core";
import { useState } from "react";

import type { CreateSandbox } from "../../api/types";
import { commandLine, curl } from "../../lib/command";
import { Card, CodeBlock } from "../../ui/basics";

export function SameElsewhere({ body }: { body: CreateSandbox }) {
  const [how, setHow] = useState("command");
  const { command, without } = commandLine(body);
  return (
    <Card
      title="The same without a page"
      aside={
        <SegmentedControl
          size="xs"
          aria-label="By what"
          value={how}
          onChange={setHow}
          data={[
            { value: "command", label: "amika" },
            { value: "curl", label: "curl" },
          ]}
        />
      }
    >
      {how === "command" ? (
        <>
          <CodeBlock text={command} label="Copy the command" />
          {without.length > 0 && (
            <Text size="xs" c="dimmed" mt={6}>
              The command line has no option for {without.join(", ")}; curl takes all of it.
            </Text>
          )}
        </>
      ) : (
        <CodeBlock text={curl(body, location.origin)} label="Copy the curl command" />
      )}
    </Card>
  );
}
