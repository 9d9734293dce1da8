/** What changed in the repository since the sandbox was made: which files, and each of them when it is opened. */
import { Button, Group, Loader, SegmentedControl, Text } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { ChevronDown, ChevronRight, RefreshCw } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import { diff } from "../../api/queries";
import type { DiffFile, SandboxDiff } from "../../api/types";
import { visible } from "../../lib/diff";
import { Empty, Mono } from "../../ui/basics";
import { Problem } from "../../ui/problem";
import { useSandbox } from "./context";

const FileChange = lazy(() => import("./file-change"));

export type View = "unified" | "split";

const VIEWS = [
  { value: "unified", label: "Unified" },
  { value: "split", label: "Side by side" },
];

export function Changes(): React.ReactNode {
  const it = useSandbox();
  const { data, error, isFetching, refetch, dataUpdatedAt } = useQuery(diff(it.id));
  const [view, setView] = useState<View>("unified");
  // Two columns of code need more than a phone has.
  const narrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false });
  if (error !== null) return <Problem error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Loader size="sm" aria-label="Loading" />;
  return (
    <>
      <Group mb="sm" gap="sm">
        <Text size="sm">{summary(data)}</Text>
        <Group gap="sm" ml="auto">
          {!narrow && <SegmentedControl size="xs" aria-label="View" data={VIEWS} value={view} onChange={(value) => setView(value as View)} />}
          <Button size="xs" variant="default" leftSection={<RefreshCw size={13} />} loading={isFetching} onClick={() => void refetch()}>
            Look again
          </Button>
        </Group>
      </Group>
      {data.note != null && (
        <Text size="sm" c="dimmed" mb="sm">
          {visible(data.note)}
        </Text>
      )}
      <div className="card">
        {data.files.length === 0 ? (
          <Empty title="Nothing changed">What is committed, changed or new in the repository since the sandbox was made is shown here.</Empty>
        ) : (
          // Looked at anew, all of it may be another.
          data.files.map((file) => <File key={`${file.path} ${dataUpdatedAt}`} file={file} view={narrow ? "unified" : view} open={data.files.length === 1} />)
        )}
      </div>
    </>
  );
}

const LETTERS: Record<DiffFile["status"], string> = { added: "A", deleted: "D", modified: "M", renamed: "R", copied: "C", type_changed: "T" };

function File({ file, view, open: first }: { file: DiffFile; view: View; open: boolean }) {
  const it = useSandbox();
  const [open, setOpen] = useState(first);
  const Mark = open ? ChevronDown : ChevronRight;
  const old = file.old_path == null ? "" : `${visible(file.old_path)} → `;
  return (
    <section className="changed" aria-label={visible(file.path)}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Mark size={14} aria-hidden />
        <span className="letter" data-status={file.status} title={file.status.replace("_", " ")}>
          {LETTERS[file.status]}
        </span>
        <span className="mono path">{old + visible(file.path)}</span>
        <span className="mono count">
          {file.binary ? "binary" : <><span className="plus">+{file.added ?? 0}</span> <span className="minus">−{file.deleted ?? 0}</span></>}
        </span>
      </button>
      {open && (
        <Suspense fallback={<Loader size="sm" m="sm" aria-label="Loading" />}>
          <FileChange id={it.id} name={it.name} file={file} view={view} />
        </Suspense>
      )}
    </section>
  );
}

function summary({ files, since }: SandboxDiff) {
  const sum = (of: (file: DiffFile) => number | null | undefined) => files.reduce((all, file) => all + (of(file) ?? 0), 0);
  const count = files.length === 1 ? "1 file changed" : `${files.length} files changed`;
  return (
    <>
      {count}, <span className="plus">+{sum((file) => file.added)}</span> <span className="minus">−{sum((file) => file.deleted)}</span>
      {since != null && <> since <Mono>{since.slice(0, 10)}</Mono></>}
    </>
  );
}
