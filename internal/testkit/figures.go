package testkit

import (
	"fmt"
	"reflect"
	"time"
)

// Fill sets every number below what the pointer points to to one of its own, and
// returns them by their path. Durations are whole seconds, and times so many of them
// after 1970. Maps, slices and pointers get one element; flags are set, texts are
// their path. Types that are named are left out.
func Fill(pointer any, leaveOut ...string) map[float64]string {
	f := filler{numbers: map[float64]string{}, leaveOut: map[string]bool{}}
	for _, name := range leaveOut {
		f.leaveOut[name] = true
	}
	f.fill(reflect.ValueOf(pointer).Elem(), "")
	return f.numbers
}

type filler struct {
	numbers  map[float64]string
	leaveOut map[string]bool
}

func (f *filler) next(path string) int64 {
	n := int64(1000 + len(f.numbers))
	f.numbers[float64(n)] = path
	return n
}

func (f *filler) fill(v reflect.Value, path string) {
	if f.leaveOut[v.Type().String()] {
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Duration:
		*x = time.Duration(f.next(path)) * time.Second
		return
	case *time.Time:
		*x = time.Unix(f.next(path), 0)
		return
	}
	switch v.Kind() {
	case reflect.Uint8, reflect.Int8: // a kind, not a figure
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("of " + path)
	case reflect.Float64:
		v.SetFloat(float64(f.next(path)))
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path)
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		item := reflect.New(v.Type().Elem()).Elem()
		f.fill(item, path)
		v.SetMapIndex(reflect.ValueOf("of "+path).Convert(v.Type().Key()), item)
	default:
		switch {
		case v.CanInt():
			v.SetInt(f.next(path))
		case v.CanUint():
			v.SetUint(uint64(f.next(path)))
		}
	}
}

// Numbers returns every number in a value, as Fill sets them.
func Numbers(value any) map[float64]bool {
	found := map[float64]bool{}
	collect(reflect.ValueOf(value), found)
	return found
}

func collect(v reflect.Value, found map[float64]bool) {
	if !v.IsValid() {
		return
	}
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case time.Duration:
			found[x.Seconds()] = true
			return
		case time.Time:
			found[float64(x.Unix())] = true
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		collect(v.Elem(), found)
	case reflect.Struct:
		for i := range v.NumField() {
			collect(v.Field(i), found)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			collect(v.Index(i), found)
		}
	case reflect.Map:
		for _, value := range v.Seq2() {
			collect(value, found)
		}
	case reflect.Float64:
		found[v.Float()] = true
	default:
		switch {
		case v.CanInt():
			found[float64(v.Int())] = true
		case v.CanUint():
			found[float64(v.Uint())] = true
		}
	}
}
