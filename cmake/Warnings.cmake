# SPDX-License-Identifier: Apache-2.0
set(INSITU_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wwrite-strings
    -Wpointer-arith -Wvla -Wno-overlength-strings)
option(INSITU_WERROR "treat warnings as errors" OFF)
if(INSITU_WERROR)
  list(APPEND INSITU_WARNINGS -Werror)
endif()
