package api

import _ "embed"

//go:embed openapi.json
var openAPI []byte

// OpenAPI is the OpenAPI 3.1 description of the agent's API, as JSON.
func OpenAPI() []byte { return openAPI }
