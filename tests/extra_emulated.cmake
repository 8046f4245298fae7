# SPDX-License-Identifier: Apache-2.0
# The AVX-512 kernels' logic on any x86: their sources against SIMDe. Its objects come before the library's of the same
# names.
if(INSITU_X86_64 AND NOT INSITU_SANITIZE)
  find_path(SIMDE_INCLUDE_DIR simde/x86/avx512.h REQUIRED)
  file(GLOB EMULATED CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/x86/*_avx512*.c)
  add_library(kernels_emulated OBJECT ${EMULATED})
  target_include_directories(kernels_emulated BEFORE PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/emulated)
  target_include_directories(kernels_emulated PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(kernels_emulated PRIVATE -O1 -Wno-psabi) # -O3 takes minutes
  add_executable(test_kernels_emulated ${CMAKE_CURRENT_SOURCE_DIR}/unit/test_kernels.c $<TARGET_OBJECTS:kernels_emulated>)
  set_target_properties(test_kernels_emulated PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(test_kernels_emulated PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(test_kernels_emulated PRIVATE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE
    EMULATED_ISA=\(ISG_ISA_AVX512|ISG_ISA_AVX512VNNI|ISG_ISA_AVX512BF16\))
  target_link_libraries(test_kernels_emulated PRIVATE insitu_rt ${CMOCKA_LIBRARY} m)
  add_test(NAME unit.test_kernels_emulated COMMAND test_kernels_emulated)
endif()
