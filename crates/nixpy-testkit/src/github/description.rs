//! GitHub's own description of its API, and whether what is said fits it.
//!
//! It is OpenAPI 3.0, whose schemas are those of JSON Schema's fourth draft but for `nullable`,
//! which becomes a choice. Of its 13 MB only the operations that are used are looked at, each
//! when it is first used. What it does not say is checked beside it: that a field of a request
//! is one that the operation has, since GitHub ignores others without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use axum::http::request::Parts;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

const FILE: &str = "npm/@octokit/openapi/generated/api.github.com.json";

/// The description, read once.
pub(super) struct Description {
    document: Value,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// One operation that a request is for.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    template: String,
    method: String,
    /// What stands in the path for each of its parameters.
    pub(super) path: BTreeMap<String, String>,
}

impl Operation {
    /// As in `POST /repos/{owner}/{repo}/check-runs`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.template)
    }
}

impl Description {
    pub(super) fn get() -> &'static Self {
        static ONCE: OnceLock<Description> = OnceLock::new();
        ONCE.get_or_init(|| Self {
            document: serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap(),
            validators: Mutex::default(),
        })
    }

    /// The operation whose path fits best: the one with the most that is literal.
    pub(super) fn operation(&self, method: &str, path: &str) -> Option<Operation> {
        let method = method.to_lowercase();
        let paths = self.document["paths"].as_object().unwrap();
        let fitting = paths.iter().filter_map(|(template, methods)| {
            methods.get(&method)?;
            let path = fit(template, path)?;
            Some((template.split('/').count() - path.len(), template, path))
        });
        let (_, template, path) = fitting.max_by_key(|(literals, _, _)| *literals)?;
        Some(Operation {
            template: template.clone(),
            method,
            path,
        })
    }

    /// What is wrong with a request.
    pub(super) fn check_request(
        &self,
        operation: &Operation,
        parts: &Parts,
        body: &[u8],
    ) -> Vec<String> {
        let described = self.described(operation);
        let mut wrong = self.check_parameters(operation, described, parts);
        for name in ["user-agent", "authorization", "x-github-api-version"] {
            if !parts.headers.contains_key(name) {
                wrong.push(format!("no header {name}"));
            }
        }
        let content = &self.resolve(&described["requestBody"])["content"]["application/json"];
        let is_required = self.resolve(&described["requestBody"])["required"] == true;
        if content.is_null() {
            // Nothing is taken, or a file is.
            return wrong;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                wrong.extend(self.check(
                    &format!("{} request", operation.name()),
                    &content["schema"],
                    &value,
                ));
                wrong.extend(self.unknown_fields(&content["schema"], &value));
            }
            Err(e) if is_required || !body.is_empty() => {
                wrong.push(format!("the body is no JSON: {e}"))
            }
            Err(_) => {}
        }
        wrong
    }

    /// What is wrong with an answer of the double.
    pub(super) fn check_response(
        &self,
        operation: &Operation,
        status: u16,
        body: &[u8],
    ) -> Vec<String> {
        let responses = &self.described(operation)["responses"];
        let described = self.resolve(&responses[status.to_string()]);
        let schema = match &described["content"]["application/json"]["schema"] {
            // What any operation may answer is not said of each.
            Value::Null if status >= 400 && described.is_null() => {
                &self.document["components"]["schemas"]["basic-error"]
            }
            schema => schema,
        };
        if described.is_null() && status < 400 {
            return vec![format!("status {status} is not described")];
        }
        if schema.is_null() {
            return match body {
                b"" => Vec::new(),
                _ => vec![format!("an answer with status {status} has no body")],
            };
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => self.check(&format!("{} {status}", operation.name()), schema, &value),
            Err(e) => vec![format!("the answer is no JSON: {e}")],
        }
    }

    /// GitHub's own example of an answer.
    pub(super) fn example(&self, operation: &Operation, status: u16) -> Value {
        let described = &self.described(operation)["responses"][status.to_string()];
        let content = &self.resolve(described)["content"]["application/json"];
        let examples = content["examples"].as_object();
        let first = examples.and_then(|examples| examples.values().next());
        let first = first.unwrap_or_else(|| panic!("{} {status} has no example", operation.name()));
        self.resolve(first)["value"].clone()
    }

    fn described(&self, operation: &Operation) -> &Value {
        &self.document["paths"][&operation.template][&operation.method]
    }

    fn check_parameters(
        &self,
        operation: &Operation,
        described: &Value,
        parts: &Parts,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let query = parts.uri.query().unwrap_or_default();
        let mut query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let listed = described["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for parameter in listed {
            let parameter = self.resolve(&parameter).clone();
            let name = parameter["name"].as_str().unwrap();
            let given = match parameter["in"].as_str() {
                Some("query") => query.remove(name),
                Some("path") => operation.path.get(name).cloned(),
                _ => continue,
            };
            match given {
                Some(text) => {
                    let schema = &parameter["schema"];
                    let number = text
                        .parse::<i64>()
                        .ok()
                        .filter(|_| schema["type"] == "integer");
                    let value = number.map_or_else(|| json!(text), |number| json!(number));
                    let key = format!("{} {name}", operation.name());
                    wrong.extend(self.check(&key, schema, &value));
                }
                None if parameter["required"] == true => wrong.push(format!("{name} is missing")),
                None => {}
            }
        }
        wrong.extend(
            query
                .keys()
                .map(|name| format!("there is no parameter {name}")),
        );
        wrong
    }

    fn unknown_fields(&self, schema: &Value, value: &Value) -> Vec<String> {
        let (Some(known), Some(given)) = (
            self.resolve(schema)["properties"].as_object(),
            value.as_object(),
        ) else {
            return Vec::new();
        };
        let unknown = given.keys().filter(|name| !known.contains_key(*name));
        unknown
            .map(|name| format!("there is no field {name}"))
            .collect()
    }

    fn check(&self, key: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = {
            let mut validators = self.validators.lock().unwrap();
            let made = validators.entry(key.to_owned());
            Arc::clone(made.or_insert_with(|| Arc::new(self.validator(schema))))
        };
        let errors = validator.iter_errors(value);
        errors
            .map(|e| format!("{}: {e}", e.instance_path()))
            .map(|text| text.chars().take(400).collect())
            .collect()
    }

    /// With all schemas that this one leads to, under the names that it knows them by.
    fn validator(&self, schema: &Value) -> Validator {
        let mut wanted = BTreeSet::new();
        let mut found = vec![schema.clone()];
        while let Some(schema) = found.pop() {
            for name in references(&schema) {
                if wanted.insert(name.clone()) {
                    found.push(self.document["components"]["schemas"][&name].clone());
                }
            }
        }
        let schemas = &self.document["components"]["schemas"];
        let used = wanted.into_iter().map(|name| {
            let schema = plain(&schemas[&name]);
            (name, schema)
        });
        let whole = json!({
            "allOf": [plain(schema)],
            "components": { "schemas": used.collect::<serde_json::Map<_, _>>() },
        });
        let options = jsonschema::options().with_draft(Draft::Draft4);
        options.should_validate_formats(true).build(&whole).unwrap()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self
                .document
                .pointer(reference.trim_start_matches('#'))
                .unwrap(),
            None => value,
        }
    }
}

/// The parameters of a path that a template fits. The last may hold slashes.
fn fit(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let templates: Vec<&str> = template.split('/').collect();
    let parts: Vec<&str> = path.split('/').collect();
    let last = templates.last()?;
    let is_long = matches!(*last, "{ref}" | "{basehead}");
    if parts.len() < templates.len() || (!is_long && parts.len() > templates.len()) {
        return None;
    }
    let mut found = BTreeMap::new();
    for (n, template) in templates.iter().enumerate() {
        let rest = parts[n..].join("/");
        let part = if n + 1 == templates.len() {
            &rest
        } else {
            parts[n]
        };
        match template
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            // Two in one part are another form of what there is with one.
            Some(name) if name.contains('}') => return None,
            Some(name) => drop(found.insert(name.to_owned(), decoded(part))),
            None if *template == part => {}
            None => return None,
        }
    }
    Some(found)
}

fn decoded(text: &str) -> String {
    // What a query's decoder takes for a blank is none in a path.
    let text = text
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|text| text.strip_prefix("#/components/schemas/"));
            let below = fields.values().flat_map(references);
            own.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// As JSON Schema has it: what may be null is this or null.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "nullable" | "example" | "examples"));
            let fields_of_it: serde_json::Map<_, _> = kept
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect();
            match fields.get("nullable") {
                Some(Value::Bool(true)) => json!({ "anyOf": [fields_of_it, { "type": "null" }] }),
                _ => Value::Object(fields_of_it),
            }
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// Beside what cargo builds: `make test-deps` puts it there.
fn file() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let mut above = program
        .ancestors()
        .map(|folder| folder.join("tools").join(FILE));
    let found = above.find(|file| file.exists());
    found.unwrap_or_else(|| {
        panic!(
            "no tools/{FILE} beside {}: `make test-deps` installs it",
            program.display()
        )
    })
}
