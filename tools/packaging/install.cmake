# What `cmake --install` puts where, below any prefix, from where it can be moved: every file finds the others by where itself is.
# Components: plimsoll (programs, libraries, plugins, what they read), dev (what is built against), python, mpi and
# cuda (in no package).
set(PLIMSOLL_PYTHON_DIR lib/python3/dist-packages CACHE STRING "Folder of Python modules below the prefix")
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Plimsoll)
set(here ${CMAKE_CURRENT_LIST_DIR})

install(TARGETS plimsoll EXPORT PlimsollHostTargets LIBRARY NAMELINK_COMPONENT dev)
install(TARGETS plimsoll_cli)
if(PLIMSOLL_WATCH)
  install(TARGETS plimsoll_watch)
endif()
install(TARGETS plimsoll_worker DESTINATION libexec/plimsoll)
install(DIRECTORY core/catalogue/ DESTINATION share/plimsoll)
install(TARGETS plimsoll_abi plimsoll_sdk EXPORT PlimsollSdkTargets)
set_target_properties(plimsoll_abi PROPERTIES EXPORT_NAME abi)
set_target_properties(plimsoll_sdk PROPERTIES EXPORT_NAME sdk)
set_target_properties(plimsoll PROPERTIES EXPORT_NAME host)
set(components Sdk Host)
set(pkgconfig plimsoll plimsoll-sdk)
if(PLIMSOLL_RUNTIME)
  install(TARGETS plimsoll_runtime EXPORT PlimsollRuntimeTargets LIBRARY NAMELINK_COMPONENT dev)
  install(TARGETS plimsoll_run)
  if(TARGET plimsoll_mpi) # loaded by the runtime, from beside it
    install(TARGETS plimsoll_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT mpi)
  endif()
  if(TARGET plimsoll_cuda) # likewise
    install(TARGETS plimsoll_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cuda)
  endif()
  set_target_properties(plimsoll_runtime PROPERTIES EXPORT_NAME runtime)
  list(APPEND components Runtime)
  list(APPEND pkgconfig plimsoll-runtime)
endif()

# ---- to build against --------------------------------------------------------------------------------------

install(DIRECTORY core/include/ core/abi/include/ sdk/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
foreach(component ${components})
  install(EXPORT Plimsoll${component}Targets NAMESPACE Plimsoll:: DESTINATION ${package_dir} COMPONENT dev)
endforeach()
include(CMakePackageConfigHelpers)
set(program_path ${CMAKE_INSTALL_BINDIR}/plimsoll)
configure_package_config_file(${here}/PlimsollConfig.cmake.in ${CMAKE_BINARY_DIR}/package/PlimsollConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS program_path NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/PlimsollConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/PlimsollConfig.cmake ${CMAKE_BINARY_DIR}/package/PlimsollConfigVersion.cmake
  sdk/cmake/PlimsollAddPlugin.cmake sdk/cmake/PlimsollConformance.cmake sdk/cmake/plugin.version DESTINATION ${package_dir} COMPONENT dev)
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
foreach(name ${pkgconfig})
  configure_file(${here}/${name}.pc.in ${CMAKE_BINARY_DIR}/package/${name}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()
install(DIRECTORY sdk/template DESTINATION share/plimsoll COMPONENT dev USE_SOURCE_PERMISSIONS)
file(GLOB pages CONFIGURE_DEPENDS sdk/docs/*.md)
install(FILES ${pages} DESTINATION share/doc/plimsoll/sdk COMPONENT dev)

# ---- to read and to type -----------------------------------------------------------------------------------

install(DIRECTORY ${PLIMSOLL_PAGES}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${PLIMSOLL_PAGES}/bash/plimsoll DESTINATION share/bash-completion/completions)
install(FILES ${PLIMSOLL_PAGES}/zsh/_plimsoll DESTINATION share/zsh/site-functions)
install(FILES ${PLIMSOLL_PAGES}/fish/plimsoll.fish DESTINATION share/fish/vendor_completions.d)
install(DIRECTORY sdk/python/plimsoll DESTINATION ${PLIMSOLL_PYTHON_DIR} COMPONENT python FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
file(GLOB licences CONFIGURE_DEPENDS LICENSE* LICENCE* COPYING*)
if(licences)
  install(FILES ${licences} DESTINATION share/doc/plimsoll)
endif()
