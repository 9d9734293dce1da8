"use strict";
// Every text goes in as text: nothing of the document becomes markup.
const add = (parent, name, text) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
};

// A schema in one text: members with their types; what is named is shown by its name.
const shape = (schema, indent = "") => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (schema.oneOf) return schema.oneOf.map((one) => shape(one, indent)).join(" | ");
  if (schema.allOf) return schema.allOf.map((one) => shape(one, indent)).join(" & ");
  if (schema.type === "array") return shape(schema.items, indent) + "[]";
  if (schema.properties) {
    const deeper = indent + "  ";
    const lines = Object.entries(schema.properties).map(([name, value]) => {
      const needed = (schema.required || []).includes(name) ? "" : "?";
      const said = value.description ? "  // " + value.description.replace(/\s+/g, " ") : "";
      return deeper + name + needed + ": " + shape(value, deeper) + said;
    });
    return "{\n" + lines.join("\n") + "\n" + indent + "}";
  }
  return [].concat(schema.type || "any").join(" | ");
};

const resolve = (api, schema) =>
  schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;

const body = (api, content) => {
  const [kind, value] = Object.entries(content || {})[0] || [];
  return kind ? kind + "\n" + shape(resolve(api, value.schema)) : "";
};

const show = (api) => {
  const root = document.getElementById("routes");
  root.textContent = "";
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, route] of Object.entries(methods)) {
      const tag = (route.tags || ["other"])[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push([method.toUpperCase(), path, route]);
    }
  for (const [tag, routes] of tags) {
    add(root, "h2", tag);
    for (const [method, path, route] of routes) {
      const box = add(root, "details");
      const head = add(box, "summary");
      add(head, "b", method);
      add(head, "code", path);
      add(box, "p", route.summary || "");
      for (const one of route.parameters || []) {
        const line = add(box, "p");
        add(line, "code", one.name);
        line.append(" (" + one.in + (one.required ? ", required" : "") + ") " + (one.description || ""));
      }
      if (route.requestBody) {
        add(box, "p", "Body:");
        add(box, "pre", body(api, route.requestBody.content));
      }
      for (const [status, answer] of Object.entries(route.responses)) {
        if (Number(status) >= 400) continue;
        add(box, "p", status + ": " + (answer.description || ""));
        if (answer.content) add(box, "pre", body(api, answer.content));
      }
    }
  }
};

fetch("/api/openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch((error) => { document.getElementById("routes").textContent = "It cannot be shown: " + error; });
