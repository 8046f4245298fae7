/* SPDX-License-Identifier: Apache-2.0 */
/* Results for people: JSON of the tool's verbs into one self-contained HTML file, a grid of ranks into one picture. */
#ifndef INSITU_REPORT_H
#define INSITU_REPORT_H

#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One HTML page with inline SVG and style, no script, nothing from a network, light or dark as the reader's system is.
 * `json` is a document of schema "insitu.sim/1" and kind "run" (roofline, energy by cause, layers, traffic, sources) or
 * "compare" (forms of one network on every profile), or of schema "insitu.methods/1" (bytes against accuracy of rival
 * methods, where their bits go). *html is NUL-terminated text of `bytes` bytes, free with isg_free(). The same document
 * gives the same bytes. Errors: FORMAT (no JSON, wrong schema or kind, a missing member, a number of methods out of
 * range), LIMIT (page beyond 64 MB, more than 1024 methods and files), NOMEM. */
ISG_NODISCARD isg_status isg_report_html(char **html, size_t *bytes, const char *json, size_t json_bytes,
                                         isg_error *err);

/* A heat map of accuracy over ranks (the paper's Fig. 5a) as one SVG: colour follows the logarithm of the error,
 * numbers in the cells are accuracy and byte ratio. `csv` has a first line that names at least the columns bi, bo
 * (1..64), accuracy (0..1) and paper_ratio (a fraction), then a line a cell, in any order; cells that are missing stay
 * grey. title and caption (NULL: none) are UTF-8. *svg is NUL-terminated text of `bytes` bytes, free with isg_free().
 * Errors: FORMAT naming the line, LIMIT, NOMEM. */
ISG_NODISCARD isg_status isg_report_grid(char **svg, size_t *bytes, const char *csv, size_t csv_bytes,
                                         const char *title, const char *caption, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
