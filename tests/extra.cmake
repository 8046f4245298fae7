# SPDX-License-Identifier: Apache-2.0
# Tests that are not one executable a file: the checks of the tree; extra_NAME.cmake adds more.
foreach(check layers length banned format headers)
  add_test(NAME style.${check} COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-${check})
endforeach()
add_test(NAME style.symbols COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-symbols $<TARGET_FILE:insitu_rt>
         $<TARGET_FILE:insitu>)
# Code grows with sanitizers and without optimisation: neither is what ships.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT INSITU_SANITIZE)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # clang unrolls more
    add_test(NAME style.size COMMAND ${PROJECT_SOURCE_DIR}/scripts/check-size $<TARGET_FILE:insitu_rt>)
  endif()
  add_test(NAME regress COMMAND ${PROJECT_SOURCE_DIR}/scripts/regress ${PROJECT_BINARY_DIR})
  set_tests_properties(regress PROPERTIES TIMEOUT 600)
endif()
file(GLOB EXTRA CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/extra_*.cmake)
foreach(extra ${EXTRA})
  include(${extra})
endforeach()
