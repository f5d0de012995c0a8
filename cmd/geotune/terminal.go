package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
)

// terminal reports whether w is a terminal on which a line can be redrawn.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// errorLabel begins error messages, in red on a terminal unless NO_COLOR is set (no-color.org).
func (a *app) errorLabel() string {
	if terminal(a.stderr) && os.Getenv("NO_COLOR") == "" {
		return "\x1b[1;31merror:\x1b[0m"
	}
	return "error:"
}

// helpTemplate shows examples first.
const helpTemplate = `{{.Short}}.
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{with .Long}}
{{.}}
{{end}}{{if .Runnable}}
Usage:
  {{.UseLine}}
{{end}}{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasHelpSubCommands}}
Topics:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}
'{{.CommandPath}} COMMAND --help' tells more about a command.
{{end}}`

// environmentTopic documents the environment variables.
func environmentTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Environment variables",
		Long: `  GOMAXPROCS      number of threads; results do not depend on it
  NO_COLOR        set to anything: no colours
  TERM            "dumb": no colours, no line that is redrawn
  XDG_CACHE_HOME  folder of the copy of what is built in (~/.cache where unset; on macOS and Windows the system's own folder)`,
	}
}
