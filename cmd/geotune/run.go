package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/train"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// app is one invocation of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	interrupts     chan os.Signal
	kill           func(code int) // ends the process at once
	ran            bool           // a command began to do its work: errors before that are wrong usage
}

// run executes the command line args and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, interrupts: make(chan os.Signal, 3), kill: os.Exit}
	return a.run(args)
}

func (a *app) run(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteC()
	return a.report(cmd, err)
}

// usageError is a wrong usage that a command finds itself.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// report tells the user about err and returns the exit code.
func (a *app) report(cmd *cobra.Command, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.stderr, "interrupted")
		return exitInterrupted
	case errors.Is(err, train.ErrInterrupted):
		fmt.Fprintln(a.stderr, err)
		return exitInterrupted
	case !a.ran, errors.As(err, &usage):
		fmt.Fprintf(a.stderr, "%s %v\nSee '%s --help'.\n", a.errorLabel(), err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(a.stderr, "%s %v\n", a.errorLabel(), err)
	return exitFailed
}

func init() { cobra.EnableCommandSorting = false } // the order in help is that of use

// root returns the program's command with all others below it.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "geotune",
		Short: "Train adapters of language models, and use them",
		Example: `  geotune train -c builtin:quickstart.yaml
  geotune generate --model builtin:quickstart/model --adapter runs/quickstart/adapter --prompt 'func main'`,
		Long: `Results go to stdout, everything else to stderr. The exit code is 0 on success, 1 on failure, 2 on wrong usage and 130 when
interrupted after saving. Paths that begin with builtin: name files that come with the program.`,
		Version:       version(),
		SilenceErrors: true, SilenceUsage: true,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate("geotune {{.Version}}\n")
	for _, c := range []*cobra.Command{
		a.trainCommand(), a.compareCommand(), a.generateCommand(), a.evalCommand(), a.fuseCommand(), a.inspectCommand(), a.probeCommand(),
		a.tokenizeCommand(), a.benchCommand(), a.versionCommand(), environmentTopic(),
	} {
		root.AddCommand(c)
	}
	return root
}

// command finishes a command: do runs once the command line is known to be well formed. required flags must be given.
func (a *app) command(c *cobra.Command, do func(args []string) error, required ...string) *cobra.Command {
	c.DisableFlagsInUseLine = true
	c.Flags().SortFlags = false
	c.RunE = func(_ *cobra.Command, args []string) error {
		a.ran = true
		return do(args)
	}
	if c.Args == nil {
		c.Args = noArguments
	}
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		for _, name := range required {
			if !c.Flags().Changed(name) {
				return fmt.Errorf("flag --%s is missing", name)
			}
		}
		return nil
	}
	return c
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; this command takes flags only", args[0])
	}
	return nil
}

// unknownCommand refuses arguments of the program itself and names the command that was probably meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			known = append(known, c.Name())
		}
	}
	return errors.New(names.Unknown("command", args[0], known))
}

// flagError names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return fmt.Errorf("%w%s", err, names.DidYouMean("--"+unknown.GetSpecifiedName(), known))
}

// watch turns interrupts into ends of contexts: the first ends finish, the second stop too, the third the process; the first ones
// also show the messages. done stops watching.
func (a *app) watch(messages ...string) (finish, stop context.Context, done func()) {
	finish, endFinish := context.WithCancel(context.Background())
	stop, endStop := context.WithCancel(context.Background())
	signal.Notify(a.interrupts, os.Interrupt, syscall.SIGTERM)
	quit := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-quit:
				return
			case <-a.interrupts:
			}
			if n <= len(messages) {
				fmt.Fprintf(a.stderr, "\n%s\n", messages[n-1])
			}
			switch n {
			case 1:
				endFinish()
			case 2:
				endStop()
			default:
				a.kill(exitInterrupted)
			}
		}
	}()
	return finish, stop, func() {
		signal.Stop(a.interrupts)
		close(quit)
		endFinish()
		endStop()
	}
}
