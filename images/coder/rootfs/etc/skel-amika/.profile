# Login shells start from the distribution's PATH; this brings back the agent's own programs.
case ":$PATH:" in
    *":$HOME/.local/bin:"*) ;;
    *) PATH="$HOME/.local/bin:$PATH" ;;
esac
