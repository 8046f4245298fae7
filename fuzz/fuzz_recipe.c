/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of the recipe parser: any bytes, without a network. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compress/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    isg_error err;
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    if (isgi_recipe_check(text, &err) != ISG_OK && err.message[0] == 0) abort(); /* a refusal says why */
    free(text);
    return 0;
}
