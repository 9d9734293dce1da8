import accessibility from "eslint-plugin-jsx-a11y";
import hooks from "eslint-plugin-react-hooks";
import typescript from "typescript-eslint";

export default typescript.config(
  { ignores: ["dist", "src/api/schema.d.ts"] },
  ...typescript.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] }, tsconfigRootDir: import.meta.dirname } },
    plugins: { "react-hooks": hooks, "jsx-a11y": accessibility },
    rules: {
      ...hooks.configs.recommended.rules,
      ...accessibility.configs.recommended.rules,
      // The first field of a form that was asked for has the focus.
      "jsx-a11y/no-autofocus": "off",
      // A log is scrolled by keys, and so has the focus.
      "jsx-a11y/no-noninteractive-tabindex": ["error", { roles: ["log", "tabpanel"], tags: [] }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { attributes: false } }],
      // What the server sends may be newer than the types.
      "@typescript-eslint/no-unnecessary-condition": "off",
      // The types of the router and of its pages lead in a circle, which the compiler follows and the linter does not.
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "no-console": "error",
    },
  },
  {
    files: ["**/*.js", "tests/**"],
    extends: [typescript.configs.disableTypeChecked],
    languageOptions: { parserOptions: { projectService: false } },
    rules: { "no-console": "off" },
  },
);
