/* SPDX-License-Identifier: Apache-2.0 */
/* Results as a page for people: JSON of the tool's verbs into one self-contained HTML file. */
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
 * "compare" (forms of one network on every profile). *html is NUL-terminated text of `bytes` bytes, free with
 * isg_free(). The same document gives the same bytes. Errors: FORMAT (no JSON, wrong schema or kind, a missing member),
 * LIMIT (page beyond 64 MB), NOMEM. */
ISG_NODISCARD isg_status isg_report_html(char **html, size_t *bytes, const char *json, size_t json_bytes,
                                         isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
