/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes (docs/recipes.md): the choices per layer as JSON text, and overrides by regular expression. */
#ifndef INSITU_COMPRESS_RECIPE_H
#define INSITU_COMPRESS_RECIPE_H

#include "compress/layers.h"

/* Applies a recipe: every layer named gets its choice, layers not named are kept. Errors: FORMAT (not JSON, unknown
 * key, value out of range), ARG (a layer the network does not have). */
ISG_NODISCARD isg_status isgi_recipe_apply(isgi_layers *layers, const char *text, isg_error *err);
/* Only the syntax and the ranges, for a recipe without a network (and for fuzzing). */
ISG_NODISCARD isg_status isgi_recipe_check(const char *text, isg_error *err);
/* The recipe of the layers' present choices; freed with isg_free(). */
ISG_NODISCARD isg_status isgi_recipe_write(char **text, const isgi_layers *layers, isg_error *err);
/* "keep", "bits=Q" or "BI,BO,QB,QU,QV" for every layer whose name the POSIX extended regex matches. Sets fixed[i].
 * Errors: ARG (bad regex, bad setting, no layer matches). */
ISG_NODISCARD isg_status isgi_override_apply(isgi_layers *layers, const isg_layer_override *o, uint8_t family,
                                             uint8_t *fixed, isg_error *err);
/* Levels that the geometry cannot have are turned off (SPEC 2.1), bits are checked to lie in 1..8. */
ISG_NODISCARD isg_status isgi_choice_normalise(isg_layer_choice *choice, const isgi_layer *layer, unsigned flags,
                                               isg_error *err);

#endif
