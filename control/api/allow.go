package api

// Check holds that exactly one change is asked for, with something in it. It
// wraps ErrBadRequest.
func (c AllowChange) Check() error {
	given := 0
	for _, is := range []bool{len(c.Add) > 0, len(c.Remove) > 0, len(c.Set) > 0, c.Any} {
		if is {
			given++
		}
	}
	if given != 1 {
		return Errorf(CodeBadRequest, "allow %s: give one of add, remove, set and any", c.Spec)
	}
	return nil
}
