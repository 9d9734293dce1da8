import { Button } from "@mantine/core";
import { SquareArrowOutUpRight } from "lucide-react";

import type { Sandbox } from "../../api/types";
import { openPort } from "../actions";

const PORT = 60998;

/** OpenCode's own page. The server signs it in. */
export function OpenCode({ sandbox: it }: { sandbox: Sandbox }) {
  if (it.sandbox_preset == null || it.amika_opencode_web === "0" || it.amika_opencode_web === "false") return null;
  return (
    <Button variant="default" leftSection={<SquareArrowOutUpRight size={14} />} onClick={() => void openPort(it, PORT)}>
      OpenCode
    </Button>
  );
}
