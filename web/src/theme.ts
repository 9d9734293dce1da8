import { createTheme, type CSSVariablesResolver } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "indigo",
  primaryShade: { light: 7, dark: 8 },
  defaultRadius: "sm",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "18px" },
  headings: { sizes: { h1: { fontSize: "20px", fontWeight: "650" }, h2: { fontSize: "15px", fontWeight: "650" } } },
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "sm" } },
    TextInput: { defaultProps: { size: "sm" } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 }, closeButtonProps: { "aria-label": "Close" } } },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    // A name alone is not read out: the element needs a role that has one.
    Loader: { defaultProps: { role: "status" } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: true, events: { hover: true, focus: true, touch: false } } },
    Menu: { defaultProps: { shadow: "md", position: "bottom-end" } },
  },
});

/** Colors of small and pale text that are still read: 4.5 to 1 on their grounds. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5c636b",
    "--mantine-color-placeholder": "#6b7280",
    "--mantine-color-error": "#c92a2a",
    "--amika-ground": "#f6f7f9",
    "--amika-surface": "#ffffff",
    "--amika-line": "#e3e6ea",
    "--amika-hover": "#f1f3f6",
    "--amika-good": "#22733a",
    "--amika-busy": "#9c4708",
    "--amika-off": "#6b7280",
    "--amika-bad": "#c92a2a",
    "--amika-link": "#3b5bdb",
    "--amika-added": "#e3f5e8",
    "--amika-deleted": "#fdeaea",
  },
  dark: {
    "--mantine-color-body": "#141517",
    "--mantine-color-dimmed": "#a3a8b0",
    "--mantine-color-placeholder": "#8d939c",
    "--mantine-color-error": "#ff8787",
    "--amika-ground": "#0f1012",
    "--amika-surface": "#17181b",
    "--amika-line": "#2b2d31",
    "--amika-hover": "#1f2125",
    "--amika-good": "#51cf66",
    "--amika-busy": "#ffa94d",
    "--amika-off": "#9aa0a8",
    "--amika-bad": "#ff8787",
    "--amika-link": "#91a7ff",
    "--amika-added": "#12301b",
    "--amika-deleted": "#3d1a1c",
  },
});
