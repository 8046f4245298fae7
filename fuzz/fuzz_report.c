/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the pages' JSON: any bytes become a page or a refusal that says why. */
#include <insitu/memory.h>
#include <insitu/report.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *html = NULL;
    size_t bytes = 0;
    isg_error err;
    if (isg_report_html(&html, &bytes, (const char *)data, size, &err) != ISG_OK) {
        if (err.message[0] == 0) abort();
        return 0;
    }
    if (strlen(html) != bytes) abort();
    isg_free(html);
    return 0;
}
