package main

import (
	"fmt"
	"reflect"
	"time"

	core "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const deepest = 2 // how often a type may occur within itself

// filler gives every field of an object a value of its own, so that a swapped number or name shows.
type filler struct {
	count  int64
	within map[reflect.Type]int
	kind   string
}

func newFiller(kind string) *filler {
	return &filler{within: map[reflect.Type]int{}, kind: kind}
}

func (f *filler) fill(object runtime.Object) {
	f.value(reflect.ValueOf(object).Elem(), "")
}

func (f *filler) next() int64 {
	f.count++
	return f.count
}

func (f *filler) value(v reflect.Value, name string) {
	if f.special(v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if f.within[v.Type().Elem()] < deepest {
			v.Set(reflect.New(v.Type().Elem()))
			f.value(v.Elem(), name)
		}
	case reflect.Struct:
		f.within[v.Type()]++
		for i := 0; i < v.NumField(); i++ {
			if v.Field(i).CanSet() && v.Type().Field(i).Name != "TypeMeta" {
				f.value(v.Field(i), v.Type().Field(i).Name)
			}
		}
		f.within[v.Type()]--
	case reflect.Slice:
		f.slice(v, name)
	case reflect.Map:
		if f.within[v.Type().Elem()] < deepest {
			element := reflect.New(v.Type().Elem()).Elem()
			f.value(element, name)
			v.Set(reflect.MakeMap(v.Type()))
			key := reflect.New(v.Type().Key()).Elem()
			f.value(key, name)
			v.SetMapIndex(key, element)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("%s-%d", name, f.next()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(f.next() - 20)
	case reflect.Int64:
		v.SetInt((f.next() - 20) << 33)
	case reflect.Float64:
		v.SetFloat(float64(f.next()) / 4)
	default:
		panic(fmt.Sprintf("%s: cannot fill a %s", name, v.Type()))
	}
}

func (f *filler) slice(v reflect.Value, name string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes([]byte(fmt.Sprintf("%s-%d\x00\xff", name, f.next())))
		return
	}
	if f.within[v.Type().Elem()] >= deepest {
		return
	}
	for range 1 + f.next()%2 {
		element := reflect.New(v.Type().Elem()).Elem()
		f.value(element, name)
		v.Set(reflect.Append(v, element))
	}
}

// special sets types that are not what their fields say; it reports whether it did.
func (f *filler) special(v reflect.Value) bool {
	moment := time.Unix(1_700_000_000+f.count, 123_456_000).UTC()
	switch at := v.Addr().Interface().(type) {
	case *metav1.Time:
		*at = metav1.NewTime(moment.Truncate(time.Second))
	case *metav1.MicroTime:
		*at = metav1.NewMicroTime(moment)
	case *resource.Quantity:
		*at = *resource.NewMilliQuantity(f.next()*500, resource.DecimalSI)
	case *intstr.IntOrString:
		*at = intstr.FromInt32(int32(f.next()))
		if f.count%2 == 0 {
			*at = intstr.FromString(fmt.Sprintf("%d%%", f.count))
		}
	case *metav1.FieldsV1:
		at.SetRawString(fmt.Sprintf(`{"f:field-%d":{}}`, f.next()))
	case *runtime.RawExtension:
		at.Raw = []byte(fmt.Sprintf(`{"raw":[%d,"text",true]}`, f.next()))
	case *apiextensions.JSON:
		at.Raw = []byte(fmt.Sprintf(`{"any":%d.5}`, f.next()))
	case *apiextensions.JSONSchemaPropsOrBool:
		if f.next()%2 == 0 {
			at.Allows = true
			return true
		}
		return false
	case *apiextensions.JSONSchemaPropsOrArray:
		if f.next()%2 == 0 {
			f.value(reflect.ValueOf(&at.JSONSchemas).Elem(), "JSONSchemas")
			return true
		}
		f.value(reflect.ValueOf(&at.Schema).Elem(), "Schema")
	case *core.PodSpec:
		if f.kind != "Pod" { // once is enough: it is large
			at.Containers = []core.Container{{Name: "main", Image: "image"}}
			return true
		}
		return false
	default:
		return false
	}
	return true
}
