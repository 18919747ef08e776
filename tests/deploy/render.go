// Renders a chart with what Helm renders with: Go's text/template and the functions of sprig.
//
//	render CHART RELEASE NAMESPACE VALUES.json   (values that are merged over values.yaml)
//
// It knows include, required, toYaml, fromYamlArray and the built-in objects Values, Release and
// Chart, and refuses every other function of Helm's own. A missing key is an error, as with
// helm's --strict lint.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(file string) map[string]interface{} {
	data, err := os.ReadFile(file)
	must(err)
	found := map[string]interface{}{}
	must(yaml.Unmarshal(data, &found))
	return found
}

func merge(into, from map[string]interface{}) {
	for key, value := range from {
		inner, nested := value.(map[string]interface{})
		below, there := into[key].(map[string]interface{})
		if nested && there {
			merge(below, inner)
		} else {
			into[key] = value
		}
	}
}

func main() {
	folder, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	values, given := read(filepath.Join(folder, "values.yaml")), map[string]interface{}{}
	must(json.Unmarshal([]byte(os.Args[4]), &given))
	merge(values, given)
	about := read(filepath.Join(folder, "Chart.yaml"))
	root := map[string]interface{}{
		"Values":  values,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm"},
		"Chart":   map[string]interface{}{"Name": about["name"], "AppVersion": about["appVersion"]},
	}
	all := template.New("chart").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["include"] = func(name string, data interface{}) (string, error) {
		var text bytes.Buffer
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["required"] = func(why string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", why)
		}
		return value, nil
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		data, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	functions["fromYamlArray"] = func(text string) ([]interface{}, error) {
		found := []interface{}{}
		return found, yaml.Unmarshal([]byte(text), &found)
	}
	files, err := filepath.Glob(filepath.Join(folder, "templates", "*"))
	must(err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(err)
		_, err = all.New(filepath.Base(file)).Funcs(functions).Parse(string(data))
		must(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".yaml") {
			fmt.Printf("---\n# Source: %s\n", filepath.Base(file))
			must(all.ExecuteTemplate(os.Stdout, filepath.Base(file), root))
			fmt.Println()
		}
	}
}
