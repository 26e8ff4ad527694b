package process

import "os"

// LeftBehind is an argument that nothing starts ass with here.
const LeftBehind = "__left-behind"

const canLeave = false

// leave cuts outputs off that somebody still holds after the child has ended.
func (c *Child) leave(others []output) {
	for _, o := range others {
		_ = o.masked.LetGo()
		if _, isFile := o.to.(*os.File); isFile {
			c.Warn("a program in the background still holds the output of the program that has ended; on Windows, what " +
				"it writes from now on is lost")
		}
	}
}

func inPipe(*os.File) int { return 0 }

func hasEnded(*os.File) bool { return false }

// GoOn is never asked for here.
func GoOn() int { return 2 }
