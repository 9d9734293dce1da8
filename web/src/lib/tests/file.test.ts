import { expect, test } from "vitest";

import type { Repository } from "../../api/types";
import { backToFile, beside, settingsBack } from "../file";

const service = (name: string, port: number) => ({ name, ports: [{ port, protocol: "tcp", url_scheme: null }] });

test("what comes of services when the file holds again is said of each", () => {
  expect(backToFile([service("a", 1), service("b", 2), service("c", 3)], [service("a", 1), service("b", 9), service("d", 4)])).toEqual([
    "a stays as it is",
    "b has 9 in place of 2",
    "c is gone",
    "d comes: 4",
  ]);
  expect(backToFile([], [])).toEqual(["nothing: there are none in either"]);
});

test("what comes of settings is said of those alone that are saved", () => {
  const it = { setup_script_text: "#!/bin/sh", sandbox_preset: "coder", sandbox_size: "xs", env_vars: { A: "1", B: "2" } } as unknown as Repository;
  expect(settingsBack(it, { setup_script: "setup.sh", preset: "coder", image: null, env_vars: { A: "3" } })).toEqual([
    "Setup script: setup.sh in place of the saved one",
    "Preset: coder, as now",
    "Size: none in place of xs",
    "A: 3 in place of 1",
    "B: none in place of 2",
  ]);
});

test("a field says what the file has, and which of both holds", () => {
  expect(beside(null, "x")).toBe("The file says nothing");
  expect(beside("setup.sh", "")).toBe("The file: setup.sh");
  expect(beside("setup.sh", "other.sh")).toBe("The file: setup.sh; what is saved here wins");
});
