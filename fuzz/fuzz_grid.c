/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the grid's CSV: any bytes become a picture or a refusal that says why. */
#include <insitu/memory.h>
#include <insitu/report.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *svg = NULL;
    size_t bytes = 0;
    isg_error err;
    if (isg_report_grid(&svg, &bytes, (const char *)data, size, "a <title>", NULL, &err) != ISG_OK) {
        if (err.message[0] == 0) abort();
        return 0;
    }
    if (strlen(svg) != bytes) abort();
    isg_free(svg);
    return 0;
}
