# The API: cars by filters, one car, a summary. Errors are problem+json.
suppressPackageStartupMessages(library(plumber))
source("/opt/cars/cars.R")

json <- function(value) jsonlite::toJSON(value, auto_unbox = TRUE, digits = NA)

answer <- function(res, body, status = 200, type = "application/json") {
  res$status <- status
  res$setHeader("Content-Type", type)
  res$body <- as.character(body)
  res
}

problem <- function(res, status, title, detail) {
  body <- json(list(type = "about:blank", title = title, status = status, detail = detail))
  answer(res, body, status, "application/problem+json")
}

# The data don't change while a task runs.
described <- json(list(
  rows = nrow(cars),
  columns = lapply(cars[columns], function(values) {
    list(min = min(values), mean = mean(values), max = max(values))
  }),
  by_cyl = lapply(split(cars, cars$cyl), function(group) {
    list(cyl = group$cyl[1], rows = nrow(group), mean_mpg = mean(group$mpg))
  }) |> unname()
))
document <- paste(readLines("/opt/cars/openapi.json"), collapse = "\n")

# Plumber's own filters read bodies, cookies and queries; they drop what has no value, and fail at a NUL.
api <- pr(filters = list()) |>
  pr_filter("methods", function(req, res) {
    if (req$REQUEST_METHOD == "GET") return(forward())
    res$setHeader("Allow", "GET")
    refuse(405, "Method not allowed", "Here is only to read: use GET.")
  }) |>
  pr_get("/cars", function(req, res) {
    found <- filtered(query_of(req$QUERY_STRING))
    answer(res, json(list(count = nrow(found), cars = found)))
  }) |>
  pr_get("/cars/<model>", function(req, res) {
    model <- decoded(req$argsPath$model)
    found <- cars[cars[["car model"]] == model, ]
    if (nrow(found) != 1) {
      refuse(404, "Unknown model", sprintf("There is no car '%s': /cars lists all.", shown(model)))
    }
    answer(res, json(as.list(found)))
  }) |>
  pr_get("/summary", function(res) answer(res, described)) |>
  pr_get("/openapi.json", function(res) answer(res, document)) |>
  pr_get("/healthz", function(res) answer(res, "ok\n", type = "text/plain")) |>
  pr_get("/readyz", function(res) {
    if (is_ready()) answer(res, "ready\n", type = "text/plain")
    else answer(res, "not ready\n", 503, "text/plain")
  }) |>
  pr_set_404(function(req, res) {
    problem(res, 404, "Not found", "Nothing is here: /openapi.json says what there is.")
  }) |>
  pr_set_error(function(req, res, err) {
    if (inherits(err, "problem")) return(problem(res, err$status, err$title, conditionMessage(err)))
    message("cars-api: ", req$REQUEST_METHOD, " ", req$PATH_INFO, ": ", conditionMessage(err))
    problem(res, 500, "Internal error", "This is our fault; the log says why.")
  })

# What pr_run() does at the end. It itself refuses ports below 1024, which a container's user may have.
httpuv::runServer("0.0.0.0", as.integer(Sys.getenv("CARS_PORT", "80")), api)
