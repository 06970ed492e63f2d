// Draws trajectories on canvases: drag turns, the wheel zooms, the slider and the arrow keys move in time.
(function () {
  "use strict";
  function start(box) {
    var scene = JSON.parse(box.querySelector("script").textContent);
    var canvas = box.querySelector("canvas"), controls = box.querySelector(".controls");
    var context = canvas.getContext("2d");
    var frames = Math.max.apply(null, scene.motions.map(function (m) { return m.frames.length; }));
    var shown = scene.motions.map(function () { return true; });
    var frame = 0, zoom = 1, timer = null;
    var turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

    // The middle of all frames of the first motion, and the distance that must be seen.
    var middle = [0, 0, 0], count = 0, reach = 1e-6;
    scene.motions[0].frames.forEach(function (points) {
      for (var i = 0; i < points.length; i++) { middle[i % 3] += points[i]; count += 1 / 3; }
    });
    middle = middle.map(function (sum) { return sum / Math.max(count, 1); });
    scene.motions[0].frames.forEach(function (points) {
      for (var i = 0; i < points.length; i += 3) {
        var d = 0;
        for (var k = 0; k < 3; k++) { d += Math.pow(points[i + k] - middle[k], 2); }
        reach = Math.max(reach, Math.sqrt(d));
      }
    });
    reach += Math.max.apply(null, scene.radii);

    function product(a, b) {
      return a.map(function (row) {
        return [0, 1, 2].map(function (k) { return row[0] * b[0][k] + row[1] * b[1][k] + row[2] * b[2][k]; });
      });
    }
    function rotate(across, up) {
      var c = Math.cos(across), s = Math.sin(across), d = Math.cos(up), t = Math.sin(up);
      turn = product(product([[1, 0, 0], [0, d, -t], [0, t, d]], [[c, 0, s], [0, 1, 0], [-s, 0, c]]), turn);
    }
    function place(points, i, scale, width, height) {
      var x = points[3 * i] - middle[0], y = points[3 * i + 1] - middle[1], z = points[3 * i + 2] - middle[2];
      var seen = turn.map(function (row) { return row[0] * x + row[1] * y + row[2] * z; });
      var depth = 4 * reach / Math.max(reach, 4 * reach - seen[2]);
      return { x: width / 2 + seen[0] * scale * depth, y: height / 2 - seen[1] * scale * depth, z: seen[2], depth: depth };
    }
    function shade(colour, light) {
      return "rgb(" + [1, 3, 5].map(function (k) {
        return Math.round(Math.min(255, parseInt(colour.substr(k, 2), 16) * light));
      }).join(",") + ")";
    }
    function line(a, b) {
      context.beginPath(); context.moveTo(a.x, a.y); context.lineTo(b.x, b.y); context.stroke();
    }

    function draw() {
      var ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
      canvas.width = width * ratio; canvas.height = height * ratio;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      var scale = zoom * 0.42 * Math.min(width, height) / reach;
      var things = [];
      scene.motions.forEach(function (motion, number) {
        if (!shown[number]) { return; }
        var at = Math.min(frame, motion.frames.length - 1), points = motion.frames[at];
        var seen = scene.radii.map(function (_, i) { return place(points, i, scale, width, height); });
        scene.bonds.forEach(function (bond) {
          var a = seen[bond[0]], b = seen[bond[1]];
          things.push({ z: (a.z + b.z) / 2, draw: function () {
            context.globalAlpha = motion.faint ? 0.45 : 1;
            context.lineWidth = (motion.faint ? 0.07 : 0.2) * scale * (a.depth + b.depth) / 2;
            context.strokeStyle = motion.faint ? "#d9711c" : "#9aa4ae";
            line(a, b);
          } });
        });
        seen.forEach(function (point, i) {
          if (!scene.bonds.length) {
            things.push({ z: point.z - reach, draw: function () {
              context.globalAlpha = motion.faint ? 0.35 : 0.7; context.lineWidth = 1.2;
              context.strokeStyle = motion.faint ? "#d9711c" : scene.colours[i];
              for (var t = Math.max(1, at - 30); t <= at; t++) {
                line(place(motion.frames[t - 1], i, scale, width, height), place(motion.frames[t], i, scale, width, height));
              }
            } });
          }
          things.push({ z: point.z, draw: function () {
            var radius = Math.max(1, scene.radii[i] * scale * point.depth * (motion.faint ? 0.4 : 1));
            var ball = context.createRadialGradient(point.x - radius / 3, point.y - radius / 3, radius / 8, point.x, point.y, radius);
            var colour = motion.faint ? "#d9711c" : scene.colours[i];
            ball.addColorStop(0, shade(colour, 1.5)); ball.addColorStop(1, shade(colour, 0.75));
            context.globalAlpha = motion.faint ? 0.55 : 1; context.fillStyle = ball;
            context.beginPath(); context.arc(point.x, point.y, radius, 0, 2 * Math.PI); context.fill();
          } });
        });
      });
      things.sort(function (a, b) { return a.z - b.z; }).forEach(function (thing) { thing.draw(); });
      context.globalAlpha = 1;
      slider.value = frame;
      label.textContent = "frame " + (frame + 1) + " of " + frames + (frame < scene.given ? " (given)" : "");
    }
    function go(to) { frame = (to + frames) % frames; draw(); }
    function add(name, kind) {
      var element = document.createElement(name);
      if (kind) { element.type = kind; }
      controls.appendChild(element);
      return element;
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
        check.addEventListener("change", function () { shown[number] = check.checked; draw(); });
        frameOf.appendChild(check);
        frameOf.appendChild(document.createTextNode(motion.name));
      });
    }
    canvas.addEventListener("pointerdown", function (event) { canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", function (event) {
      if (event.buttons) { rotate(event.movementX * 0.01, event.movementY * 0.01); draw(); }
    });
    canvas.addEventListener("wheel", function (event) {
      event.preventDefault();
      zoom = Math.min(20, Math.max(0.1, zoom * Math.exp(-event.deltaY * 0.001)));
      draw();
    }, { passive: false });
    canvas.addEventListener("keydown", function (event) {
      var step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { event.preventDefault(); go(frame + step); }
    });
    window.addEventListener("resize", draw);
    rotate(0.5, 0.35);
    go(scene.given ? scene.given - 1 : 0);
  }
  document.querySelectorAll("figure.motion").forEach(start);
})();
