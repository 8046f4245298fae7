# SPDX-License-Identifier: Apache-2.0
# What is installed and how others find it: pkg-config files, the CMake package, completions and the manual page.
# Profiles (share/insitu) and modules (lib/insitu) are found by the tool beside itself or by paths compiled in, so they
# do not follow GNUInstallDirs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(INSITU_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/insitu)
set(INSITU_PACKAGE ${PROJECT_BINARY_DIR}/package) # of use once installed only: nobody should find it here

# cmake/NAME.pc.in. The prefix is where the file lies, so that `cmake --install --prefix`, DESTDIR and moving the
# folder are all right; only an absolute libdir says the prefix itself.
function(insitu_install_pc name)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
    set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
    set(PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
  else()
    file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" up ${up})
    set(PC_PREFIX "\${pcfiledir}/${up}")
    set(PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  endif()
  if(IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
    set(PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
  else()
    set(PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${INSITU_PACKAGE}/${name}.pc @ONLY)
  install(FILES ${INSITU_PACKAGE}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# The runtime, the headers and the package: what every kind of build installs.
function(insitu_install_runtime)
  set(targets insitu_rt)
  if(TARGET insitu_rt_shared)
    list(APPEND targets insitu_rt_shared)
  endif()
  install(TARGETS ${targets} EXPORT insitu_rt
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT insitu_rt FILE insitu-rt-targets.cmake NAMESPACE insitu:: DESTINATION ${INSITU_CMAKE_DIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/insitu DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  insitu_install_pc(insitu-rt)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/insitu-config.cmake.in
    ${INSITU_PACKAGE}/insitu-config.cmake INSTALL_DESTINATION ${INSITU_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
  # version 0: the interface may change with each minor number
  write_basic_package_version_file(${INSITU_PACKAGE}/insitu-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${INSITU_PACKAGE}/insitu-config.cmake ${INSITU_PACKAGE}/insitu-config-version.cmake
    DESTINATION ${INSITU_CMAKE_DIR})
endfunction()

# The whole library, the tool with what belongs to it, and the profiles.
function(insitu_install_host)
  install(TARGETS insitu EXPORT insitu ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT insitu FILE insitu-targets.cmake NAMESPACE insitu:: DESTINATION ${INSITU_CMAKE_DIR})
  insitu_install_pc(insitu)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/profiles DESTINATION share/insitu FILES_MATCHING PATTERN "*.json")
  if(NOT TARGET insitu_tool)
    return()
  endif()
  install(TARGETS insitu_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(CMAKE_CROSSCOMPILING OR INSITU_FUZZ) # the tool, which says what follows, does not run here, or is not for use
    return()
  endif()
  set(folder ${PROJECT_BINARY_DIR}/share)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(
    OUTPUT ${folder}/insitu.bash ${folder}/_insitu ${folder}/insitu.fish ${folder}/insitu.1
    COMMAND insitu_tool completion bash > ${folder}/insitu.bash
    COMMAND insitu_tool completion zsh > ${folder}/_insitu
    COMMAND insitu_tool completion fish > ${folder}/insitu.fish
    COMMAND ${PROJECT_SOURCE_DIR}/scripts/gen-man $<TARGET_FILE:insitu_tool> > ${folder}/insitu.1
    DEPENDS insitu_tool ${PROJECT_SOURCE_DIR}/scripts/gen-man
    COMMENT "Writing completions and insitu.1" VERBATIM)
  add_custom_target(insitu_texts ALL DEPENDS ${folder}/insitu.1)
  install(FILES ${folder}/insitu.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${folder}/insitu.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME insitu)
  install(FILES ${folder}/_insitu DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${folder}/insitu.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endfunction()
