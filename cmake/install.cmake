# `cmake --install build --prefix DIR --component rondo`, and `cpack --config build/CPackConfig.cmake`
# for .deb packages. The component rondo: the program with LibTorch beside it, the configs, the job
# scripts, manual pages and completion. The component development: see package.cmake.
include(GNUInstallDirs)

install(TARGETS rondo RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT rondo)
set_target_properties(rondo PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/rondo")
install(DIRECTORY configs slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/rondo COMPONENT rondo
  USE_SOURCE_PERMISSIONS)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT rondo)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT rondo)
install(FILES examples/read_checkpoint.py DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
  COMPONENT rondo)
install(FILES scripts/completion.bash RENAME rondo COMPONENT rondo
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# What the program needs of LibTorch and its wheels, which no Debian package has.
install(CODE "
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:rondo>\"
    RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
    POST_INCLUDE_REGEXES \"^${RONDO_LIBTORCH}/\" \"^${RONDO_WHEELS}/\" \"site-packages/\"
    POST_EXCLUDE_REGEXES \".*\")
  foreach(library IN LISTS found)
    get_filename_component(library \"\${library}\" REALPATH)
    file(INSTALL \"\${library}\" DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/rondo\"
      TYPE SHARED_LIBRARY)
  endforeach()" COMPONENT rondo)

# Manual pages, from the tables of options and keys.
install(CODE "
  set(manuals \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}\")
  execute_process(COMMAND \"${CMAKE_SOURCE_DIR}/scripts/manuals.sh\" \"$<TARGET_FILE:rondo>\"
    \"\$ENV{DESTDIR}\${manuals}\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT rondo)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME rondo)
set(CPACK_PACKAGE_CONTACT "the developers of rondo")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains language models whose layers share weights")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL rondo development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${RONDO_LIBTORCH}/lib"
  "${RONDO_WHEELS}/nvidia/cu13/lib")
set(CPACK_DEBIAN_RONDO_PACKAGE_NAME rondo)
set(CPACK_DEBIAN_RONDO_PACKAGE_DEPENDS openmpi-bin)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME rondo-dev)
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "libraries and headers of rondo, for programs of others")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "cmake, pkg-config, libfmt-dev, libdnnl-dev, \
libhdf5-openmpi-dev, libopenmpi-dev, nlohmann-json3-dev")
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
include(CPack)
