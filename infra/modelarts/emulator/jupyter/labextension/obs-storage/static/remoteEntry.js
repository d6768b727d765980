// "Sync OBS" in the File menu and the command palette. JupyterLab loads this file as a module-federation container; it
// takes JupyterLab's own modules from the share scope, so that it needs no build.
(() => {
  "use strict";
  let shared;
  const load = async (name) => (await Object.values(shared[name])[0].get())();

  const said = (found) => {
    const part = (names, text) => (names.length ? [`${text}: ${names.join(", ")}`] : []);
    const lines = [
      ...part(found.fetched, "fetched"),
      ...part(found.repaired, "Windows line ends removed"),
      ...part(found.kept, "changed here too, and kept"),
    ];
    return lines.length ? `Sync OBS – ${lines.join("; ")}` : "Sync OBS – everything was here";
  };

  const plugin = async () => {
    const { IMainMenu } = await load("@jupyterlab/mainmenu");
    const { ICommandPalette, Notification } = await load("@jupyterlab/apputils");
    const { ServerConnection } = await load("@jupyterlab/services");
    const { URLExt } = await load("@jupyterlab/coreutils");

    const sync = async (app) => {
      const settings = ServerConnection.makeSettings();
      const url = URLExt.join(settings.baseUrl, "obs/sync");
      try {
        const answer = await ServerConnection.makeRequest(url, { method: "POST" }, settings);
        const found = await answer.json();
        if (!answer.ok) {
          throw new Error([found.message, found.hint].filter(Boolean).join(" – "));
        }
        Notification.success(said(found), { autoClose: 15000 });
        await app.commands.execute("filebrowser:refresh");
      } catch (error) {
        Notification.error(`Sync OBS – ${error.message}`, { autoClose: false });
      }
    };

    return {
      id: "obs-storage:plugin",
      autoStart: true,
      requires: [IMainMenu],
      optional: [ICommandPalette],
      activate: (app, menu, palette) => {
        const command = "obs-storage:sync";
        app.commands.addCommand(command, { label: "Sync OBS", execute: () => sync(app) });
        menu.fileMenu.addGroup([{ command }], 0);
        if (palette) {
          palette.addItem({ command, category: "File Operations" });
        }
      },
    };
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["obs-storage"] = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
