package catalog

import (
	"encoding/json"
	"reflect"
)

// show prints a value with what its pointers lead to.
func show(v reflect.Value) string {
	text, err := json.MarshalIndent(v.Interface(), "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
