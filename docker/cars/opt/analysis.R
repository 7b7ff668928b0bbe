# The batch job: cars that go farther than 20 miles on a gallon, into a file on a volume.
suppressPackageStartupMessages({
  library(dplyr)
  library(tibble)
})

folder <- "/home/results"
path <- file.path(folder, "efficient_cars.csv")
fail <- function(...) {
  message("analysis: ", ...)
  quit(status = 1)
}

if (file.access(folder, mode = 2) != 0) {
  fail(
    folder, " is not writable for user ", system2("id", "-u", stdout = TRUE),
    ": mount a directory or volume there that belongs to this user"
  )
}
efficient <- as_tibble(mtcars, rownames = "car model") |> filter(mpg > 20)

cat(R.version.string, "\n\n", sep = "")
cat(nrow(efficient), "of", nrow(mtcars), "cars go farther than 20 miles on a gallon:\n")
print(as.data.frame(efficient), row.names = FALSE)

# All of it or nothing. R does not say that a disk is full, so it is read again.
text <- capture.output(write.csv(efficient, row.names = FALSE))
whole <- tempfile(".efficient_cars-", folder)
written <- tryCatch(
  suppressWarnings({
    writeLines(text, whole)
    identical(readLines(whole), text) && file.rename(whole, path)
  }),
  error = function(error) FALSE
)
if (!isTRUE(written)) {
  unlink(whole)
  fail(path, " could not be written: is there room on its disk, and is it not a directory?")
}
cat("\nwritten to", path, "\n")
