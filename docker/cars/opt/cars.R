# What the services share: the data, what a filter may say, and what is known of the right answer.

cars <- data.frame("car model" = rownames(mtcars), mtcars, check.names = FALSE, row.names = NULL)
columns <- names(mtcars)
comparisons <- list(gt = `>`, ge = `>=`, lt = `<`, le = `<=`, eq = `==`)

# A mistake of whoever asks; the message says what would do.
refuse <- function(status, title, detail) {
  stop(structure(
    class = c("problem", "error", "condition"),
    list(message = detail, call = NULL, status = status, title = title)
  ))
}

# What stands in a URL as %20 and +.
decoded <- function(text) {
  if (any(grepl("%00", text, fixed = TRUE))) refuse(400, "Not a text", "The URL has a NUL.")
  text <- httpuv::decodeURIComponent(text)
  if (!all(validUTF8(text))) refuse(400, "Not a text", "The URL is not UTF-8.")
  text
}

# The values of each name in a query, those without a value, too.
query_of <- function(text) {
  pairs <- strsplit(gsub("+", " ", sub("^[?]", "", text), fixed = TRUE), "&", fixed = TRUE)[[1]]
  pairs <- pairs[nzchar(pairs)]
  names <- decoded(sub("=.*", "", pairs))
  split(decoded(sub("^[^=]*=?", "", pairs)), factor(names, unique(names)))
}

# A finite number in plain digits, or NA: as.numeric() alone takes hexadecimal, " 1 " and "Inf", too.
number <- function(text) {
  form <- "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]{1,3})?$"
  if (length(text) == 1 && grepl(form, text, perl = TRUE) && is.finite(value <- as.numeric(text))) value else NA_real_
}

# The cars that hold against all conditions of a query: mpg_gt=20, cyl=4.
filtered <- function(query) {
  kept <- rep(TRUE, nrow(cars))
  for (name in names(query)) {
    parts <- regmatches(name, regexec("^(.*?)(_(gt|ge|lt|le))?$", name, perl = TRUE))[[1]]
    if (length(parts) == 0 || !parts[2] %in% columns) {
      refuse(400, "Unknown column", sprintf(
        "There is no column for '%s': use %s, alone or with _gt, _ge, _lt or _le.",
        shown(name), paste(columns, collapse = ", ")
      ))
    }
    value <- number(query[[name]])
    if (is.na(value)) {
      refuse(400, "Not a number", sprintf(
        "%s is '%s' and has to be one number.", name, shown(paste(query[[name]], collapse = "', '"))
      ))
    }
    holds <- comparisons[[if (nzchar(parts[4])) parts[4] else "eq"]]
    kept <- kept & holds(cars[[parts[2]]], value)
  }
  cars[kept, ]
}

# What somebody sent, as it may be shown: not long.
shown <- function(text) {
  if (nchar(text) > 60) paste0(substr(text, 1, 60), "\u2026") else text
}

# Right answers that are kept beside the code: a task that gives others is not ready.
golden <- utils::read.csv("/opt/cars/golden.csv", check.names = FALSE)
is_right <- function() {
  found <- filtered(list(mpg_gt = "20"))
  identical(found[["car model"]], golden[["car model"]]) && isTRUE(all.equal(found$mpg, golden$mpg))
}

# `serve` says in files whether this task has answered its first request and whether it is about to end.
is_ready <- function() file.exists("/tmp/started") && !file.exists("/tmp/draining") && is_right()
