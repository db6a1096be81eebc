# Answers on standard input's paths, each followed by a folder: what readRDS makes of the file is written
# there as text (head, dimnames) and raw numbers (x, i, p), and "ok" or the error is said.
suppressPackageStartupMessages(library(Matrix))
raw_file <- function(folder, name, values) {
    file <- file(file.path(folder, name), "wb")
    writeBin(values, file)
    close(file)
}
text_file <- function(folder, name, lines) if (!is.null(lines)) {
    file <- file(file.path(folder, name), "wb")
    writeLines(enc2utf8(lines), file, useBytes = TRUE)
    close(file)
}
describe <- function(x, folder) {
    sparse <- isS4(x)
    names <- if (is.null(dim(x))) list(names(x), NULL) else dimnames(x)
    text_file(folder, "head", c(class(x)[1], typeof(if (sparse) x@x else x), dim(x)))
    text_file(folder, "rows", names[[1]])
    text_file(folder, "columns", names[[2]])
    if (sparse) {
        validObject(x)
        # Each element by its place.
        raw_file(folder, "looked_up", as.double(if (length(x) < 10000) x[seq_along(x)] else c()))
        raw_file(folder, "i", x@i)
        raw_file(folder, "p", x@p)
        raw_file(folder, "x", x@x)
    } else {
        if (is.integer(x) && anyNA(x)) stop("a number reads as NA")
        raw_file(folder, "x", as.vector(x))
    }
}
input <- file("stdin", "r")
while (length(lines <- readLines(input, 2)) == 2) {
    said <- tryCatch({ describe(readRDS(lines[1]), lines[2]); "ok" }, error = conditionMessage)
    cat(gsub("\n", " ", said), "\n", sep = "")
    flush(stdout())
}
