// Shows trajectories with 3Dmol: drag turns, the wheel zooms, the slider and the arrow keys move in time.
(function () {
  "use strict";
  var FAINT = "#d9711c";

  function start(box) {
    var scene = JSON.parse(box.querySelector("script").textContent);
    var stage = box.querySelector(".stage"), controls = box.querySelector(".controls");
    var frames = Math.max.apply(null, scene.motions.map(function (motion) { return motion.frames.length; }));
    var viewer = null;
    try { viewer = $3Dmol.createViewer(stage, { backgroundAlpha: 0, disableFog: true }); } catch (_) { /* said below */ }
    if (!viewer) {
      stage.textContent = "This browser has no WebGL, which the view in three dimensions needs.";
      return;
    }

    // Sticks of 3Dmol come from the list of neighbours that each atom has.
    var neighbours = scene.radii.map(function () { return []; });
    scene.bonds.forEach(function (bond) {
      neighbours[bond[0]].push(bond[1]);
      neighbours[bond[1]].push(bond[0]);
    });
    // Where samples lie upon the truth, it must not hide them.
    var full = scene.bonds.length && scene.motions.length > 1 ? 0.6 : 1;
    // Nothing is translucent: 3Dmol does not show what is, where only the page is behind it.
    function bodies(motion, points) {
      return scene.radii.map(function (radius, i) {
        var colour = motion.faint ? FAINT : scene.colours[i];
        var style = { sphere: { radius: radius * (motion.faint ? 0.35 : full), color: colour } };
        if (scene.bonds.length) {
          style.stick = { radius: motion.faint ? 0.04 : 0.12 * full, color: colour };
        }
        return {
          elem: "X", serial: i, index: i, x: points[3 * i], y: points[3 * i + 1], z: points[3 * i + 2],
          bonds: neighbours[i].slice(), bondOrder: neighbours[i].map(function () { return 1; }), style: style
        };
      });
    }
    // Bodies without bonds leave their path behind them.
    function path(motion, i) {
      return viewer.addCurve({
        points: motion.frames.map(function (points) {
          return { x: points[3 * i], y: points[3 * i + 1], z: points[3 * i + 2] };
        }),
        radius: scene.radii[i] * (motion.faint ? 0.15 : 0.3), smooth: 2, color: motion.faint ? FAINT : scene.colours[i]
      });
    }
    function paths(motion) {
      var some = scene.bonds.length === 0 && motion.frames.length > 1;
      return some ? scene.radii.map(function (_, i) { return path(motion, i); }) : [];
    }
    var shown = scene.motions.map(function (motion) {
      var model = viewer.addModel();
      model.addAtoms(bodies(motion, motion.frames[0]));
      motion.frames.forEach(function (points) { model.addFrame(bodies(motion, points)); });
      return { model: model, last: motion.frames.length - 1, paths: paths(motion) };
    });

    var frame = 0, timer = null;
    function go(to) {
      frame = (to + frames) % frames;
      shown.forEach(function (one) { one.model.setFrame(Math.min(frame, one.last)); });
      viewer.render();
      slider.value = frame;
      label.textContent = "frame " + (frame + 1) + " of " + frames + (frame < scene.given ? " (given)" : "");
    }
    function add(name, kind) {
      var element = document.createElement(name);
      if (kind) { element.type = kind; }
      controls.appendChild(element);
      return element;
    }
    function see(number, visible) {
      var one = shown[number];
      one.paths.forEach(function (curve) { viewer.removeShape(curve); });
      one.paths = visible ? paths(scene.motions[number]) : [];
      if (visible) { one.model.show(); } else { one.model.hide(); }
      viewer.render();
    }

    var play = add("button", "button"), slider = add("input", "range"), label = add("span");
    play.textContent = "play";
    slider.min = 0; slider.max = frames - 1; slider.setAttribute("aria-label", "frame");
    slider.addEventListener("input", function () { go(+slider.value); });
    play.addEventListener("click", function () {
      if (timer) { clearInterval(timer); timer = null; } else { timer = setInterval(function () { go(frame + 1); }, 80); }
      play.textContent = timer ? "stop" : "play";
    });
    if (scene.motions.length > 1) {
      scene.motions.forEach(function (motion, number) {
        var frameOf = add("label"), check = document.createElement("input");
        check.type = "checkbox"; check.checked = true;
        check.addEventListener("change", function () { see(number, check.checked); });
        frameOf.appendChild(check);
        frameOf.appendChild(document.createTextNode(motion.name));
      });
    }
    stage.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { event.preventDefault(); go(frame + step); }
    });
    go(scene.given ? scene.given - 1 : 0);
    viewer.zoomTo();
    viewer.zoom(1.5);
    viewer.rotate(25, "y");
    viewer.rotate(20, "x");
    viewer.render();
  }
  document.querySelectorAll("figure.motion").forEach(start);
})();
