package letter

import "errors"

// Render returns the mail, or an error that describes what the letter lacks.
func (l Letter) Render() (Mail, error) { return Mail{}, errors.New("letters cannot be rendered yet") }
