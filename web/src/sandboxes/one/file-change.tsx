/** The lines of one file that differ, below each other or side by side. */
import { Loader, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";

import { diffText } from "../../api/queries";
import type { DiffFile } from "../../api/types";
import { literal, sides, visible, type Hunk, type Row } from "../../lib/diff";
import { quote } from "../../lib/command";
import { Problem } from "../../ui/problem";
import type { View } from "./changes";

export default function FileChange({ id, name, file, view }: { id: string; name: string; file: DiffFile; view: View }): React.ReactNode {
  const { data, error, refetch } = useQuery(diffText(id, file.path, file.old_path ?? null));
  if (error !== null) return <Problem error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Loader size="sm" m="sm" aria-label="Loading" />;
  const nothing = data.hunks.length === 0 && data.notes.length === 0;
  return (
    <div className="file-change">
      {data.notes.map((note) => (
        <p key={note} className="mono dim">
          {visible(note)}
        </p>
      ))}
      {nothing && <p className="dim">{file.added === 0 && file.deleted === 0 ? "It has no lines." : "Its lines cannot be shown."}</p>}
      {data.hunks.length > 0 && (
        <table className="diff" data-view={view} aria-label={`Changes of ${visible(file.path)}`}>
          <colgroup>
            {(view === "split" ? ["number", "text", "number", "text"] : ["number", "number", "text"]).map((kind, at) => (
              <col key={at} className={kind} />
            ))}
          </colgroup>
          <tbody>
            {data.hunks.map((hunk, at) => (
              // Hunks have no name but their place.
              <Fragment key={at}>
                <tr className="hunk">
                  <td colSpan={view === "split" ? 4 : 3}>{visible(hunk.header)}</td>
                </tr>
                {view === "split" ? <Split hunk={hunk} /> : <Unified hunk={hunk} />}
              </Fragment>
            ))}
          </tbody>
        </table>
      )}
      {data.cut && (
        <Text size="sm" p="sm">
          There is more of it than a page shows: <code>{`amika sandbox diff --remote ${quote(name)} -- ${quote(literal([visible(file.path)]))}`}</code>
        </Text>
      )}
    </div>
  );
}

/** Beside the text: who copies lines copies code. */
const SIGNS = { same: "", added: "+", deleted: "-", note: "" };

function Unified({ hunk }: { hunk: Hunk }) {
  return hunk.rows.map((row, at) => (
    <tr key={at} data-kind={row.kind}>
      <td className="number">{row.old}</td>
      <td className="number">{row.now}</td>
      <Line row={row} />
    </tr>
  ));
}

function Split({ hunk }: { hunk: Hunk }) {
  return sides(hunk.rows).map(([left, right], at) => (
    <tr key={at}>
      <td className="number" data-kind={left?.kind}>{left?.old}</td>
      <Line row={left} />
      <td className="number" data-kind={right?.kind}>{right?.now}</td>
      <Line row={right} />
    </tr>
  ));
}

function Line({ row }: { row: Row | null }) {
  return (
    <td className="line" data-kind={row?.kind} data-sign={row === null ? "" : SIGNS[row.kind]}>
      {row !== null && visible(row.text)}
    </td>
  );
}
